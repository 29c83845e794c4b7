//! The documents as Markdown: their tables and their fenced blocks.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file, mostly of Markdown.
pub struct Document {
    /// Its path in the repository.
    pub name: String,
    pub text: String,
}

/// A fenced block.
#[derive(Debug, Clone)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    pub language: String,
    /// What the fence says beside the language.
    pub note: String,
    pub text: String,
}

/// A line outside the fenced blocks, and its number.
type Line<'d> = (usize, &'d str);

/// The cells of a row, and the number of its line.
pub type Row = (usize, Vec<String>);

/// The documents of these directories, in the order of their names.
pub fn documents(directories: &[&str]) -> Vec<Document> {
    let mut all: Vec<_> = directories.iter().flat_map(|directory| files(directory, "md")).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(!all.is_empty());
    all
}

/// The files of a directory whose names end so.
pub fn files(directory: &str, extension: &str) -> Vec<Document> {
    let files = fs::read_dir(Path::new(ROOT).join(directory)).expect("a directory");
    let paths = files.map(|file| file.expect("a file").path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).map(read).collect()
}

fn read(path: PathBuf) -> Document {
    let name = path.strip_prefix(ROOT).expect("a file of the repository").display().to_string();
    Document { name, text: fs::read_to_string(path).expect("a text") }
}

impl Document {
    /// The document of that name.
    pub fn of(name: &str) -> Self {
        read(Path::new(ROOT).join(name))
    }

    /// The fenced blocks.
    pub fn blocks(&self) -> Vec<Block> {
        self.parts().0
    }

    /// The lines from that heading to the next of its rank.
    pub fn section(&self, heading: &str) -> Vec<Line<'_>> {
        let rank = heading.split(' ').next().unwrap_or_default();
        let lines = self.parts().1.into_iter().skip_while(|(_, line)| *line != heading).skip(1);
        lines.take_while(|(_, line)| line.split(' ').next() != Some(rank)).collect()
    }

    /// The lines outside the fenced blocks.
    pub fn prose(&self) -> Vec<Line<'_>> {
        self.parts().1
    }

    /// All tables, or the line that breaks one.
    pub fn tables(&self) -> Result<Vec<Vec<Row>>, usize> {
        tables(&self.prose())
    }

    fn parts(&self) -> (Vec<Block>, Vec<Line<'_>>) {
        let (mut blocks, mut lines, mut open) = (Vec::new(), Vec::new(), None::<Block>);
        for (number, line) in (1..).zip(self.text.lines()) {
            match (line.strip_prefix("```"), open.take()) {
                (None, None) => lines.push((number, line)),
                (Some(info), None) => {
                    let (language, note) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
                    let (language, note) = (language.to_owned(), note.trim().to_owned());
                    open = Some(Block { line: number, language, note, text: String::new() });
                }
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.text += line;
                    block.text.push('\n');
                    open = Some(block);
                }
            }
        }
        assert!(open.is_none(), "{}: a fence is not closed: {open:?}", self.name);
        (blocks, lines)
    }
}

/// The tables in these lines. Each begins with its headings and a rule, and all its rows have as many cells.
pub fn tables(lines: &[Line<'_>]) -> Result<Vec<Vec<Row>>, usize> {
    let mut all: Vec<Vec<Row>> = Vec::new();
    let mut last = None;
    for (number, line) in lines.iter().filter(|(_, line)| line.starts_with('|')) {
        if last != Some(*number - 1) {
            all.push(Vec::new());
        }
        last = Some(*number);
        all.last_mut().expect("a table").push((*number, cells(line)));
    }
    for table in &all {
        let is_rule = |cell: &String| !cell.is_empty() && cell.chars().all(|c| "-:".contains(c));
        let rule = table.get(1).filter(|(_, cells)| cells.iter().all(is_rule));
        let (_, rule) = rule.ok_or(table[0].0)?;
        if let Some((broken, _)) = table.iter().find(|(_, cells)| cells.len() != rule.len()) {
            return Err(*broken);
        }
    }
    Ok(all)
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim().replace("\\|", "\u{1}");
    let row = row.strip_prefix('|').and_then(|row| row.strip_suffix('|')).unwrap_or(&row);
    row.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

/// What stands between backticks.
pub fn words(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}
