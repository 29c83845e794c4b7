//! Rows on their way from a file to the database: compressed, many to a chunk, in a file without a name that is gone
//! with whoever holds it.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use safire_domain::operation::Row;

use super::{Limits, ROW, Refusal};

/// Rows of a chunk: they become scenarios in one transaction.
const CHUNK: usize = 250;

/// Takes rows.
pub(super) struct Sink {
    file: File,
    chunks: Vec<(u64, usize)>,
    end: u64,
    waiting: Vec<Row>,
    rows: u64,
    limit: u64,
}

impl Sink {
    pub fn new(limits: &Limits) -> io::Result<Self> {
        let file = tempfile::tempfile_in(&limits.directory)?;
        Ok(Self { file, chunks: Vec::new(), end: 0, waiting: Vec::new(), rows: 0, limit: limits.rows })
    }

    pub fn take(&mut self, row: Row) -> Result<(), Refusal> {
        self.rows += 1;
        if self.rows > self.limit {
            return Err(Refusal::TooLarge(format!("the file has more than {} rows", self.limit)));
        }
        if row.body.get().len() > ROW {
            let message = format!("line {}: a row of more than {ROW} bytes", row.line);
            return Err(Refusal::TooLarge(message));
        }
        self.waiting.push(row);
        if self.waiting.len() == CHUNK { Ok(self.pack()?) } else { Ok(()) }
    }

    fn pack(&mut self) -> io::Result<()> {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
        serde_json::to_writer(&mut packer, &self.waiting)?;
        let packed = packer.finish()?;
        self.file.write_all(&packed)?;
        self.chunks.push((self.end, packed.len()));
        self.end += packed.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<(i64, Spool)> {
        if !self.waiting.is_empty() {
            self.pack()?;
        }
        let rows = i64::try_from(self.rows).unwrap_or(i64::MAX);
        Ok((rows, Spool { file: self.file, chunks: self.chunks.into_iter() }))
    }
}

/// The chunks, in order, one in memory at a time.
#[derive(Debug)]
pub struct Spool {
    file: File,
    chunks: std::vec::IntoIter<(u64, usize)>,
}

impl Iterator for Spool {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (at, length) = self.chunks.next()?;
        let mut chunk = vec![0; length];
        Some(self.file.read_exact_at(&mut chunk, at).map(|()| chunk))
    }
}

/// The rows of a chunk.
pub fn unpack(chunk: &[u8]) -> io::Result<Vec<Row>> {
    let mut json = String::new();
    ZlibDecoder::new(chunk).read_to_string(&mut json)?;
    Ok(serde_json::from_str(&json)?)
}
