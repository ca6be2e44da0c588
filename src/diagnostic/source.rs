//! The files that one run reads.

use crate::diagnostic::{FileId, Span};
use rustix::fs::OFlags;
use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Maximum size of a file, in bytes.
const MAX_FILE_SIZE: u64 = 16 << 20;

/// A file that could not be used.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The operating system returned an error.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A directory, a FIFO or a device.
    #[error("{} is not a regular file", .0.display())]
    NotRegularFile(PathBuf),
    /// Too large for a blueprint.
    #[error("{} is larger than {} MiB", .0.display(), MAX_FILE_SIZE >> 20)]
    TooLarge(PathBuf),
    /// Not text.
    #[error("{} is not UTF-8 text (at byte {at}){}", path.display(), if *utf_16 { ", but UTF-16: save it as UTF-8" } else { "" })]
    NotText {
        /// The file.
        path: PathBuf,
        /// Offset of the first byte that is not UTF-8.
        at: usize,
        /// The file starts with the byte order mark of UTF-16.
        utf_16: bool,
    },
}

#[derive(Clone)]
struct Source {
    name: String,
    /// Path of the file; `None` for bundled text.
    path: Option<PathBuf>,
    /// The first import of the file.
    import: Option<Span>,
    text: String,
    /// Offset of the first byte of each line.
    lines: Vec<usize>,
    /// Number of characters before each block of [`BLOCK_SIZE`] bytes; empty if the text is ASCII.
    characters: Vec<usize>,
}

/// Size of the blocks in which characters are counted, in bytes. A line can be as long as the file:
/// counting all its characters for each column would be slow.
const BLOCK_SIZE: usize = 1024;

impl Source {
    fn new(name: String, path: Option<PathBuf>, text: String) -> Self {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let mut characters = Vec::new();
        if !text.is_ascii() {
            let blocks = (0..=text.len() / BLOCK_SIZE)
                .map(|block| text.floor_char_boundary(block * BLOCK_SIZE));
            let counts = blocks
                .clone()
                .zip(blocks.skip(1))
                .map(|(start, end)| text[start..end].chars().count());
            characters = std::iter::once(0)
                .chain(counts.scan(0, |sum, count| {
                    *sum += count;
                    Some(*sum)
                }))
                .collect();
        }
        Self {
            name,
            path,
            import: None,
            text,
            lines,
            characters,
        }
    }

    /// Returns the number of characters before a byte.
    fn characters_before(&self, at: usize) -> usize {
        let block = at / BLOCK_SIZE;
        match self.characters.get(block) {
            None => at,
            Some(before) => {
                before
                    + self.text[self.text.floor_char_boundary(block * BLOCK_SIZE)..at]
                        .chars()
                        .count()
            }
        }
    }
}

/// All texts that were read, to show the text of a [`Span`].
#[derive(Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
    /// Places with text that must not be shown.
    withheld: Vec<Span>,
    /// Files that are never quoted.
    never_quoted: Vec<FileId>,
}

/// Omits the texts: they can contain sensitive values.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files = self.files.len();
        f.debug_struct("Sources")
            .field("files", &files)
            .finish_non_exhaustive()
    }
}

impl Sources {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a regular file, is too large, or is not UTF-8.
    pub fn read(&mut self, path: &Path) -> Result<FileId, SourceError> {
        if let Some(known) = self
            .files
            .iter()
            .position(|source| source.path.as_deref() == Some(path))
        {
            return Ok(FileId(u32::try_from(known).unwrap_or(u32::MAX)));
        }
        let text = read_text(path)?;
        Ok(self.add(path.display().to_string(), Some(path.to_owned()), text))
    }

    /// Hides the text at this place, and the messages about it, from now on.
    pub fn withhold(&mut self, span: Span) {
        self.withheld.push(span);
    }

    /// Hides the lines of this file from now on. Messages about it are still shown.
    pub fn never_quote(&mut self, file: FileId) {
        self.never_quoted.push(file);
    }

    /// Returns true if the text at a place may be shown.
    #[must_use]
    pub fn is_quoted(&self, span: Span) -> bool {
        !self.never_quoted.contains(&span.file) && !self.is_withheld(span)
    }

    /// Returns true if a place overlaps or touches a withheld one.
    #[must_use]
    pub fn is_withheld(&self, span: Span) -> bool {
        self.withheld
            .iter()
            .any(|it| it.file == span.file && it.start <= span.end && span.start <= it.end)
    }

    /// Adds a text that does not come from a file, such as a bundled catalog.
    pub fn add_text(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        self.add(name.into(), None, text.into())
    }

    fn add(&mut self, name: String, path: Option<PathBuf>, text: String) -> FileId {
        self.files.push(Source::new(name, path, text));
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    fn source(&self, file: FileId) -> &Source {
        &self.files[file.0 as usize]
    }

    /// Returns the name to show.
    #[must_use]
    pub fn name(&self, file: FileId) -> &str {
        &self.source(file).name
    }

    /// Returns the path of the file; `None` for bundled text.
    #[must_use]
    pub fn path(&self, file: FileId) -> Option<&Path> {
        self.source(file).path.as_deref()
    }

    /// Returns the directories of all files on disk, each once, in the order of reading.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        let paths = self
            .files
            .iter()
            .filter_map(|source| source.path.as_deref());
        let mut all: Vec<PathBuf> = Vec::new();
        for directory in paths.filter_map(Path::parent) {
            if !all.iter().any(|it| it == directory) {
                all.push(directory.to_owned());
            }
        }
        all
    }

    /// Records the import that leads to a file, unless one is recorded already.
    pub fn set_import(&mut self, file: FileId, import: Span) {
        self.files[file.0 as usize].import.get_or_insert(import);
    }

    /// Returns the import that leads to a file, if the file is bundled or from the network.
    #[must_use]
    pub fn import(&self, file: FileId) -> Option<Span> {
        self.source(file)
            .import
            .filter(|_| self.path(file).is_none())
    }

    /// Returns the place in the user's own file: the span itself, or the import that leads to it.
    #[must_use]
    pub fn own_place(&self, span: Span) -> Span {
        // A chain of imports cannot be longer than the number of files.
        (0..self.files.len())
            .try_fold(span, |span, _| self.import(span.file).ok_or(span))
            .unwrap_or_else(|own| own)
    }

    /// Returns the text.
    #[must_use]
    pub fn text(&self, file: FileId) -> &str {
        &self.source(file).text
    }

    /// Returns the line and column of a byte, both counted from 1, the column in characters.
    #[must_use]
    pub fn line_column(&self, file: FileId, at: usize) -> (usize, usize) {
        let source = self.source(file);
        let at = source.text.floor_char_boundary(at);
        let line = source.lines.partition_point(|start| *start <= at);
        (
            line,
            source.characters_before(at) - source.characters_before(source.lines[line - 1]) + 1,
        )
    }

    /// Returns the span of the first line, for errors that concern the whole file.
    #[must_use]
    pub fn start(&self, file: FileId) -> Span {
        let text = self.text(file);
        Span {
            file,
            start: 0,
            end: text.find('\n').unwrap_or(text.len()),
        }
    }
}

fn read_text(path: &Path) -> Result<String, SourceError> {
    let io = |source| SourceError::Io {
        path: path.to_owned(),
        source,
    };
    // Check before opening: opening a FIFO would wait for a writer.
    let data = path.metadata().map_err(io)?;
    if !data.is_file() {
        return Err(SourceError::NotRegularFile(path.to_owned()));
    }
    if data.len() > MAX_FILE_SIZE {
        return Err(SourceError::TooLarge(path.to_owned()));
    }
    // Reading some kernel files would block without this flag.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(io)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(SourceError::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let utf_16 = matches!(error.as_bytes(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
        SourceError::NotText {
            path: path.to_owned(),
            at: error.utf8_error().valid_up_to(),
            utf_16,
        }
    })
}
