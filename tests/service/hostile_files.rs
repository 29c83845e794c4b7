//! Files made to fill memory, to hold places, or to stop an import: refused early, at little cost.

use std::{io::Write, time::Duration};

use safire_test_support::on_both_engines;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    app::{Client, PATIENCE, TestApp, id},
    process::Server,
};

const BOUNDARY: &str = "limit";

/// Begins to send a form of that length, up to where the service asks for it: it has looked who sends it, and given it a place
/// if there is one. What follows is sent by hand.
async fn begin(ana: &Client, project: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(ana.host()).await.expect("connects");
    let head = format!(
        "POST /api/v1/projects/{project}/import HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\nConnection: close\r\n\
         Expect: 100-continue\r\n\r\n",
        ana.host(),
        ana.token.as_ref().expect("somebody who is signed in"),
    );
    stream.write_all(head.as_bytes()).await.expect("is sent");
    let mut asked = [0; 25];
    timeout(PATIENCE, stream.read_exact(&mut asked)).await.expect("in time").expect("an answer");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// The status and the body of what is answered.
async fn answered(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// An archive that begins like a workbook, with that file in it.
fn archive(name: &str, write: impl FnOnce(&mut dyn Write)) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    write(&mut archive);
    archive.finish().unwrap().into_inner()
}

/// Of a process, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

on_both_engines! {
    async fn five_hostile_files_at_once_cost_little_memory(database: &TestDatabase) {
        let server = Server::start(database);
        let ana = server.nobody().login(crate::app::ADMIN.0, crate::app::ADMIN.1).await;
        let project = ana.project().await;
        ana.import(&project, b"name,process,feedstock,country\nA,HEFA,UCO,USA\n", "").await.is(202);
        let head = "name,process,feedstock,country";
        let long_cell = archive("xl/worksheets/sheet1.xml", |out| {
            out.write_all(b"<worksheet><sheetData><row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>").unwrap();
            (0..500).for_each(|_| out.write_all(&vec![b'x'; 1 << 20]).unwrap());
        });
        let many_texts = archive("xl/sharedStrings.xml", |out| {
            out.write_all(&b"<si/>".repeat(2_000_000)).unwrap();
        });
        let files: [(&str, Vec<u8>); 5] = [
            ("import.too_large", vec![b','; 60 << 20]),
            ("import.too_large", [head.as_bytes(), b"\n", &vec![b','; 60 << 20][..]].concat()),
            ("import.too_large", [head.as_bytes(), b"\n\"", &vec![b'x'; 60 << 20][..]].concat()),
            ("import.too_large", long_cell),
            ("import.too_large", many_texts),
        ];
        let before = peak_memory(server.pid());
        for (code, file) in &files {
            // Five at once, as many as there are places.
            let sent = (0..5).map(|_| ana.import(&project, file, ""));
            let mut looked_at = 0;
            for answer in futures::future::join_all(sent).await {
                match answer.status {
                    503 => drop(answer.refused(503, "unavailable")),
                    _ => {
                        answer.refused(413, code);
                        looked_at += 1;
                    }
                }
            }
            // One user has four places.
            assert!(looked_at >= 4, "only {looked_at} were looked at");
        }
        let grown = peak_memory(server.pid()).saturating_sub(before) / 1024;
        assert!(grown <= 128, "{grown} MiB");
        println!("five hostile files at once: {grown} MiB");
    }

    async fn what_a_form_has_beside_its_file_is_little(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let header = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"");
        for beginning in [String::new(), header] {
            let mut stream = begin(&ana, &project, 300 << 20).await;
            stream.write_all(beginning.as_bytes()).await.unwrap();
            let mut sent = 0;
            // Until it is no longer read.
            while sent < 300 << 20 && stream.write_all(&[b'x'; 64 << 10]).await.is_ok() {
                sent += 64 << 10;
            }
            assert!(sent < 16 << 20, "{sent} bytes were taken");
        }
        ana.import(&project, b"name,process,feedstock,country\nA,HEFA,UCO,USA\n", "").await.is(202);
        app.stop().await;
    }

    async fn who_drips_holds_no_place_for_long_and_leaves_one_to_others(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let (mine, theirs) = (ana.project().await, bob.project().await);
        let table = b"name,process,feedstock,country\nA,HEFA,UCO,USA\n";
        let beginning = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nname,");
        let mut dripping = Vec::new();
        for _ in 0..5 {
            let mut stream = begin(&ana, &mine, 1 << 20).await;
            stream.write_all(beginning.as_bytes()).await.unwrap();
            dripping.push(stream);
        }
        let one_too_many = answered(dripping.remove(4)).await;
        assert!(one_too_many.starts_with("HTTP/1.1 503 "), "{one_too_many}");
        bob.import(&theirs, table, "").await.is(202);
        for stream in dripping {
            let ended = answered(stream).await;
            assert!(ended.contains("body.timeout"), "{ended}");
        }
        ana.import(&mine, table, "").await.is(202);
        app.stop().await;
    }

    async fn a_nul_in_a_row_refuses_that_row_alone(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let head = "name,process,feedstock,country,plant.capacity [kt/yr],finance.profile,main_product";
        let good = ["good,HEFA,UCO,USA,100,,", "good too,HEFA,UCO,USA,100,,"];
        let tables = [
            "a\0b,HEFA,UCO,USA,100,,",
            "a,HE\0FA,UCO,USA,100,,",
            "a,HEFA,UC\0O,USA,100,,",
            "a,HEFA,UCO,US\0A,100,,",
            "a,HEFA,UCO,USA,1\x0000,,",
            "a,HEFA,UCO,USA,100 kt\0/yr,,",
            "a,HEFA,UCO,USA,100,nr\0el,",
            "a,HEFA,UCO,USA,100,,je\0t",
        ]
        .map(|row| format!("{head}\n{}\n{row}\n{}\n", good[0], good[1]));
        let entry = |name: &str, inputs: Value| {
            json!({ "name": name, "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": inputs })
        };
        let arrays = [
            entry("a\0b", json!({})),
            entry("a", json!({ "feedstocks": { "a\0b": {} } })),
            entry("a", json!({ "a\0b": {} })),
        ]
        .map(|wrong| json!([entry("good", json!({})), wrong, entry("good too", json!({}))]).to_string());
        // Each by itself: the log tells the reason of the first row that is refused.
        for file in tables.into_iter().chain(arrays) {
            let project = ana.project().await;
            let ended = ana.ends(&id(&ana.import(&project, file.as_bytes(), "").await.is(202))).await;
            let became = (&ended["state"], &ended["created"], &ended["refused"]);
            assert_eq!(became, (&json!("succeeded"), &json!(2), &json!(1)), "{file:?}: {ended}");
            let faults = ana.get(&format!("/operations/{}/refused", id(&ended))).await.is(200);
            assert!(!faults.to_string().contains("\\u0000"), "{faults}");
        }
        app.stop().await;
    }
}

/// A drip is cut after a window of ten seconds without much.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_stops_coming_is_told_so() {
    let app = TestApp::start(&safire_test_support::TestDatabase::sqlite()).await;
    let ana = app.register().await;
    let stream = begin(&ana, &ana.project().await, 1000).await;
    let begun = std::time::Instant::now();
    let answer = answered(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body.timeout"), "{answer}");
    assert!(begun.elapsed() >= Duration::from_secs(9), "{:?}", begun.elapsed());
    app.stop().await;
}
