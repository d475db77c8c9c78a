//! Code addresses of processes as functions, files and lines: from the files that their code is mapped from, which must still be there.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use addr2line::Loader;
use ddi_trace::{About, Text};
use object::read::elf::{ElfFile64, ElfSegment64};
use object::{Endianness, Object as _, ObjectSegment as _, ReadCache};
use serde::Serialize;

/// Place of an instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Code {
    /// File that the code is mapped from.
    pub image: String,
    /// Function, if the file has symbols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Source file, if the file has lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Code {
    /// Returns the place in a few words: "render.c:88", the function, or the file.
    pub fn short(&self) -> String {
        let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        match (&self.file, self.line, &self.function) {
            (Some(file), Some(line), _) => format!("{}:{line}", name(file)),
            (_, _, Some(function)) => function.clone(),
            _ => name(&self.image),
        }
    }
}

/// A mapping of a file with code.
struct Mapped {
    start: u64,
    end: u64,
    offset: u64,
    file: String,
}

/// A file with code.
struct Image {
    loader: Option<Loader>,
    /// Segments: offset in the file, bytes, address.
    segments: Vec<[u64; 3]>,
}

impl Image {
    fn open(file: &str) -> Image {
        let file = Path::new(file);
        // A name in a trace may be that of a pipe, which has no end.
        if !file.is_file() {
            return Image { loader: None, segments: Vec::new() };
        }
        Image { loader: Loader::new(file).ok(), segments: segments(file).unwrap_or_default() }
    }

    /// Returns the address that an offset has in the file's own counting.
    fn address(&self, offset: u64) -> Option<u64> {
        let holds = |[from, bytes, _]: &&[u64; 3]| (*from..from.saturating_add(*bytes)).contains(&offset);
        self.segments.iter().find(holds).and_then(|[from, _, address]| address.checked_add(offset - from))
    }
}

fn segments(file: &Path) -> Option<Vec<[u64; 3]>> {
    let data = ReadCache::new(std::fs::File::open(file).ok()?);
    let file = ElfFile64::<Endianness, _>::parse(&data).ok()?;
    let segment = |segment: ElfSegment64<'_, '_, _, _>| {
        let (offset, bytes) = segment.file_range();
        [offset, bytes, segment.address()]
    };
    Some(file.segments().map(segment).collect())
}

/// The code of a trace's processes.
#[derive(Default)]
pub struct Symbols {
    mapped: HashMap<u32, Vec<Mapped>>,
    images: HashMap<String, Image>,
    known: HashMap<(u32, u64), Option<Rc<Code>>>,
}

impl Symbols {
    /// Takes the mappings from a trace's texts.
    pub fn of(texts: &[Text]) -> Symbols {
        let mut symbols = Symbols::default();
        symbols.add(texts);
        symbols
    }

    /// Takes more of them.
    pub fn add(&mut self, texts: &[Text]) {
        for text in texts.iter().filter(|text| text.about == About::Code) {
            let [start, end, offset] = text.words;
            let mapped = Mapped { start, end, offset, file: text.text.clone() };
            self.mapped.entry(text.id as u32).or_default().push(mapped);
        }
    }

    /// Returns the place of a process's code address; `None` if it is in no file that the trace knows.
    pub fn find(&mut self, process: u32, address: u64) -> Option<Rc<Code>> {
        if let Some(known) = self.known.get(&(process, address)) {
            return known.clone();
        }
        let found = self.look(process, address).map(Rc::new);
        self.known.insert((process, address), found.clone());
        found
    }

    fn look(&mut self, process: u32, address: u64) -> Option<Code> {
        let all = self.mapped.get(&process)?;
        // A later mapping of the same addresses replaces an earlier one.
        let mapped = all.iter().rev().find(|m| (m.start..m.end).contains(&address))?;
        let mut code = Code { image: mapped.file.clone(), ..Code::default() };
        let offset = mapped.offset.checked_add(address - mapped.start)?;
        let image = self.images.entry(mapped.file.clone()).or_insert_with(|| Image::open(&mapped.file));
        let (Some(loader), Some(at)) = (&image.loader, image.address(offset)) else { return Some(code) };
        let mut inlined = Vec::new();
        if let Ok(mut frames) = loader.find_frames(at) {
            while let Ok(Some(frame)) = frames.next() {
                let place = frame.location.map(|place| (place.file.map(str::to_owned), place.line));
                let function = frame.function.and_then(|name| Some(name.demangle().ok()?.into_owned()));
                inlined.push((place.unwrap_or_default(), function));
            }
        }
        // What the compiler has inlined of Rust's library is not where the program's author looks.
        let own = |((file, _), _): &&((Option<String>, _), _)| {
            file.as_ref().is_some_and(|file| !file.starts_with("/rustc/"))
        };
        if let Some(((file, line), function)) = inlined.iter().find(own).or(inlined.first()).cloned() {
            (code.file, code.line, code.function) = (file, line, function);
        }
        let symbol =
            || loader.find_symbol(at).map(|name| addr2line::demangle_auto(name.into(), None).into_owned());
        code.function = code.function.or_else(symbol);
        Some(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn here() -> u64 {
        here as *const () as u64
    }

    #[test]
    fn a_pipe_has_no_code_and_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let text = Text {
            about: About::Code,
            id: 7,
            words: [0, 4096, u64::MAX - 8],
            text: pipe.to_str().unwrap().into(),
        };
        let mut symbols = Symbols::of(&[text]);
        assert_eq!(symbols.find(7, 4).unwrap().image, pipe.to_str().unwrap());
        // Beyond what a file can have.
        assert_eq!(symbols.find(7, 4000), None);
    }

    #[test]
    fn an_address_has_its_function_and_line() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let this = std::env::current_exe().unwrap();
        let texts = maps.lines().filter(|line| line.ends_with(this.to_str().unwrap())).map(|line| {
            let mut words = line.split_whitespace();
            let (start, end) = words.next().unwrap().split_once('-').unwrap();
            let hex = |text| u64::from_str_radix(text, 16).unwrap();
            let words = [hex(start), hex(end), hex(words.nth(1).unwrap())];
            Text { about: About::Code, id: 7, words, text: this.to_str().unwrap().into() }
        });
        let mut symbols = Symbols::of(&texts.collect::<Vec<_>>());
        let code = symbols.find(7, here()).unwrap();
        assert!(code.function.as_deref().unwrap().ends_with("symbols::tests::here"), "{code:?}");
        assert!(code.file.as_deref().unwrap().ends_with("symbols.rs") && code.line.is_some(), "{code:?}");
        assert!(code.short().starts_with("symbols.rs:"));
        assert_eq!(symbols.find(7, 1), None);
        assert_eq!(symbols.find(8, here()), None);
    }
}
