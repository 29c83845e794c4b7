//! A broker that speaks Kafka's protocol and that one test has to itself: librdkafka's own, in this process, or
//! nisshi, a server, where `SAFIRE_NISSHI` names its program.

use std::process::{Child, Command, Stdio};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    message::{Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{DefaultProducerContext, FutureProducer, FutureRecord},
};

use crate::{PATIENCE, free_port};

/// The topics of the service.
const TOPICS: [&str; 4] = ["safire.scenarios", "safire.prices", "safire.alerts", "safire.dead-letters"];

/// Partitions of each.
const PARTITIONS: i32 = 3;

/// A broker with the service's topics; gone when dropped.
pub struct TestKafka {
    server: Server,
    brokers: String,
    /// Whoever sends.
    pub sender: KafkaSender,
}

/// Sends messages.
#[derive(Clone)]
pub struct KafkaSender(FutureProducer);

enum Server {
    Mock(MockCluster<'static, DefaultProducerContext>),
    Nisshi(Child),
}

impl TestKafka {
    /// librdkafka's own, which can be told to fail.
    pub fn mock() -> Self {
        let cluster = MockCluster::new(1).expect("a cluster");
        for topic in TOPICS {
            cluster.create_topic(topic, PARTITIONS, 1).expect("a topic");
        }
        let brokers = cluster.bootstrap_servers();
        Self { sender: KafkaSender::to(&brokers), brokers, server: Server::Mock(cluster) }
    }

    /// The one that `SAFIRE_NISSHI` names, and librdkafka's own without it.
    pub async fn any() -> Self {
        match std::env::var_os("SAFIRE_NISSHI") {
            Some(_) => Self::nisshi().await,
            None => Self::mock(),
        }
    }

    /// A server of its own, which keeps everything in memory.
    pub async fn nisshi() -> Self {
        let program = std::env::var_os("SAFIRE_NISSHI").expect("SAFIRE_NISSHI names nisshi: run ./test --broker");
        let brokers = format!("127.0.0.1:{}", free_port());
        let url = format!("tcp://{brokers}");
        let child = Command::new(program)
            .args(["broker", "--silent", "--storage-engine", "memory://nisshi/"])
            .args(["--listener-url", &url, "--advertised-listener-url", &url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nisshi can be run");
        let server = Server::Nisshi(child);
        let sender = KafkaSender::to(&brokers);
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &brokers).create().expect("a client");
        let topics = TOPICS.map(|topic| NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1)));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let made = admin.create_topics(&topics, &options).await.expect("the broker answers");
        assert!(made.iter().all(Result::is_ok), "topics were not made: {made:?}");
        Self { server, brokers, sender }
    }

    /// Where it is reached.
    pub fn brokers(&self) -> String {
        self.brokers.clone()
    }

    /// It answers nobody until it is [back](Self::is_back).
    pub fn goes_away(&self) {
        match &self.server {
            Server::Mock(cluster) => cluster.broker_down(1).expect("the broker goes away"),
            Server::Nisshi(child) => signal(child, "STOP"),
        }
    }

    /// It answers again.
    pub fn is_back(&self) {
        match &self.server {
            Server::Mock(cluster) => cluster.broker_up(1).expect("the broker comes back"),
            Server::Nisshi(child) => signal(child, "CONT"),
        }
    }

    /// Reads a topic from its beginning.
    pub fn reader(&self, topic: &str) -> StreamConsumer {
        let reader: StreamConsumer = self.member("reader");
        reader.subscribe(&[topic]).expect("it subscribes");
        reader
    }

    /// A client in that group, which has joined nothing yet.
    pub fn member<C: rdkafka::config::FromClientConfig>(&self, group: &str) -> C {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()
            .expect("a client")
    }
}

impl KafkaSender {
    fn to(brokers: &str) -> Self {
        let producer = ClientConfig::new().set("bootstrap.servers", brokers).set("enable.idempotence", "true").create();
        Self(producer.expect("a producer"))
    }

    /// Sends a message, with the `traceparent` of what caused it where one is known, and waits until it is stored;
    /// returns its partition and its place there.
    pub async fn tell(&self, topic: &str, key: &str, text: &str, cause: Option<&str>) -> (i32, i64) {
        let mut record = FutureRecord::to(topic).key(key).payload(text);
        if let Some(cause) = cause {
            let cause = Header { key: "traceparent", value: Some(cause) };
            record = record.headers(OwnedHeaders::new().insert(cause));
        }
        let stored = self.0.send(record, PATIENCE).await.expect("it is taken");
        (stored.partition, stored.offset)
    }

    /// Sends messages of one key and waits until all are stored.
    pub async fn tell_all(&self, topic: &str, texts: impl IntoIterator<Item = String>) {
        let mut sent = Vec::new();
        for text in texts {
            let record = FutureRecord::to(topic).key("one").payload(&text);
            sent.push(self.0.send_result(record).map_err(|(error, _)| error).expect("there is room"));
        }
        for stored in sent {
            stored.await.expect("the producer lives").expect("it is taken");
        }
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("kill is installed");
    assert!(sent.success(), "{name} was not sent");
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::Nisshi(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
