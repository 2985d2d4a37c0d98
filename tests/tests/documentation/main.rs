//! The documents as tests: what README and its like say can be typed, followed and found. Each checker is also shown
//! a text that it must refuse.

#![allow(clippy::unwrap_used)]

mod commands;
mod places;
mod settings;

use std::path::{Path, PathBuf};

/// A Markdown document.
struct Document {
    /// From the workspace's root.
    path: String,
    text: String,
}

/// A fenced block: what stands behind the fence, and its lines.
struct Block {
    info: String,
    lines: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// README and all its companions.
fn documents() -> Vec<Document> {
    let (root, mut paths) = (root(), Vec::new());
    let mut folders = vec![root.join("docs"), root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            } else if path.is_dir() && folder != root {
                folders.push(path);
            }
        }
    }
    paths.sort();
    assert!(paths.len() > 8, "the documents were not found");
    let document = |path: PathBuf| Document {
        path: path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(),
        text: std::fs::read_to_string(&path).unwrap(),
    };
    paths.into_iter().map(document).collect()
}

fn document(path: &str) -> Document {
    Document { path: path.to_owned(), text: std::fs::read_to_string(root().join(path)).unwrap() }
}

impl Document {
    fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut open) = (Vec::new(), None::<Block>);
        for line in self.text.lines() {
            match (line.strip_prefix("```"), open.take()) {
                (Some(info), None) => open = Some(Block { info: info.to_owned(), lines: Vec::new() }),
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.lines.push(line.to_owned());
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a fence is not closed", self.path);
        blocks
    }

    /// The text without fenced blocks.
    fn prose(&self) -> String {
        let mut fenced = false;
        let outside = self.text.lines().filter(|line| {
            let fence = line.starts_with("```");
            fenced ^= fence;
            !fence && !fenced
        });
        outside.collect::<Vec<_>>().join("\n")
    }

    /// What stands between backticks in the prose.
    fn spans(&self) -> Vec<String> {
        self.prose().lines().flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
    }
}
