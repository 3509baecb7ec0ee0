//! Which files are the policy, and their bytes, read once.
//!
//! Every `*.yaml` and `*.yml` below the directory, in order of their paths. Hidden files are not policy
//! (editors leave them), nor is a folder named `examples` below the top. Links are followed; a folder is
//! entered once, however many links lead to it. In a Kubernetes ConfigMap the files are links into `..data`:
//! the links are read, the folders whose names begin with two dots are not entered.

use super::problem::{Place, Problems};
use super::spec::whole;
use aws_lc_rs::digest::{Context, SHA256};
use std::collections::HashSet;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// All files together: room for 100,000 tenants.
const TOTAL_MAX: u64 = 64 << 20;
const FILES_MAX: usize = 1_000;
/// Folders inside one another.
const DEPTH_MAX: usize = 16;

/// The policy's files as they were at one moment.
pub struct Files {
    /// Names as shown, in the order of `texts`.
    pub names: Vec<String>,
    pub texts: Vec<Text>,
}

/// What a file held.
pub enum Text {
    Utf8(String),
    /// Could not be used; the reason.
    Bad {
        what: String,
        help: &'static str,
    },
}

/// Reads the directory. What is wrong with single files is in their [`Text`].
pub fn read(dir: &Path) -> Files {
    let mut found = Found { paths: Vec::new(), entered: HashSet::new(), bad: Vec::new() };
    found.folder(dir, 0);
    found.paths.sort();
    let mut files = Files { names: Vec::new(), texts: Vec::new() };
    let over = found.paths.len() > FILES_MAX;
    found.paths.truncate(FILES_MAX);
    let mut left = TOTAL_MAX;
    for path in found.paths {
        files.push(&path, text(&path, &mut left));
    }
    for (path, what, help) in found.bad {
        files.push(&path, Text::Bad { what, help });
    }
    if over {
        let what = format!("more than {FILES_MAX} policy files");
        files.push(dir, Text::Bad { what, help: "put several tenants into one file" });
    }
    if files.names.is_empty() {
        let help = "put at least one `.yaml` file there; is it the right directory?";
        files.push(dir, Text::Bad { what: "no policy file here".into(), help });
    }
    files
}

impl Files {
    fn push(&mut self, path: &Path, text: Text) {
        self.names.push(path.display().to_string());
        self.texts.push(text);
    }

    /// Digest over names and bytes of all files.
    pub fn digest(&self) -> Context {
        let mut digest = Context::new(&SHA256);
        for (name, text) in self.names.iter().zip(&self.texts) {
            let bytes = match text {
                Text::Utf8(text) => text.as_bytes(),
                Text::Bad { what, .. } => what.as_bytes(),
            };
            for part in [base_name(name).as_bytes(), bytes] {
                digest.update(&(part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        digest
    }

    /// Records the files that could not be used.
    pub fn report(&self, problems: &Problems) {
        for (file, text) in self.texts.iter().enumerate() {
            if let Text::Bad { what, help } = text {
                problems.add(self.place(file), "", what.clone(), *help);
            }
        }
    }

    /// The whole of a file.
    pub fn place(&self, file: usize) -> Place {
        whole(file as u16) // FILES_MAX and a few
    }
}

/// Replicas may mount the same policy in different places: the digest takes only the file's own name.
fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

struct Found {
    paths: Vec<PathBuf>,
    entered: HashSet<(u64, u64)>,
    bad: Vec<(PathBuf, String, &'static str)>,
}

impl Found {
    fn folder(&mut self, dir: &Path, depth: usize) {
        let listing = std::fs::metadata(dir).and_then(|meta| Ok((meta, std::fs::read_dir(dir)?)));
        let (meta, listing) = match listing {
            Ok(listing) => listing,
            Err(error) => {
                return self.bad(
                    dir,
                    format!("cannot be read: {error}"),
                    "name a directory the gateway may read",
                );
            }
        };
        if !self.entered.insert((meta.dev(), meta.ino())) || self.paths.len() > FILES_MAX {
            return;
        }
        if depth > DEPTH_MAX {
            return self.bad(dir, "folders are nested too deeply".into(), "move the files further up");
        }
        for entry in listing.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || (depth == 0 && name == "examples") {
                continue;
            }
            // `metadata` follows links; one that leads nowhere counts only if it looks like a policy file.
            let named_yaml = path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => self.folder(&path, depth + 1),
                Ok(meta) if named_yaml && meta.is_file() => self.paths.push(path),
                Err(error) if named_yaml => {
                    self.bad(&path, format!("cannot be read: {error}"), "mend or remove the link");
                }
                Ok(_) if named_yaml => {
                    self.bad(&path, "not a regular file".into(), "a policy is plain files")
                }
                _ => {}
            }
        }
    }

    fn bad(&mut self, path: &Path, what: String, help: &'static str) {
        self.bad.push((path.to_path_buf(), what, help));
    }
}

fn text(path: &Path, left: &mut u64) -> Text {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path);
    match file.and_then(|file| file.take(*left + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() as u64 > *left => {
            bad(format!("the policy is larger than {} MiB", TOTAL_MAX >> 20), "is this file part of it?")
        }
        Err(error) => bad(format!("cannot be read: {error}"), "let the gateway read it, or move it away"),
        Ok(_) => {
            *left -= bytes.len() as u64;
            decode(bytes)
        }
    }
}

fn decode(bytes: Vec<u8>) -> Text {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line =
                1 + memchr::memchr_iter(b'\n', &error.as_bytes()[..error.utf8_error().valid_up_to()]).count();
            return bad(
                format!("not UTF-8 text (line {line})"),
                "save it as UTF-8; is it a policy file at all?",
            );
        }
    };
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        return bad("the file is empty".into(), "write a policy into it, or remove it");
    }
    if text.contains('\0') {
        return bad("binary content".into(), "is it a policy file at all?");
    }
    Text::Utf8(text)
}

fn bad(what: String, help: &'static str) -> Text {
    Text::Bad { what, help }
}
