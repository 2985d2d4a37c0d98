//! The workspace's Rust files, and their code without comments, strings and unit tests.

use std::path::{Path, PathBuf};

/// A Rust file of the workspace.
pub struct Source {
    /// From the workspace's root, with `/`.
    pub path: String,
    pub text: String,
}

impl Source {
    /// The text with comments and the contents of strings blanked; line numbers stay.
    pub fn code(&self) -> String {
        code(&self.text)
    }

    /// `code` up to the unit tests at the file's end.
    pub fn shipped(&self) -> String {
        let code = self.code();
        match code.find("#[cfg(test)]") {
            Some(at) if code[at..].contains("mod tests {") => code[..at].to_owned(),
            _ => code,
        }
    }

    /// The name of the file itself.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the whole file is test code.
    pub fn is_test(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        parts.contains(&"tests") || parts.contains(&"benches") || self.name() == "tests.rs"
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file of the workspace whose name passes, without what is built or belongs to the version control.
pub fn files(wanted: impl Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
    let root = root();
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && name != ".git" && name != "node_modules" {
                    folders.push(path);
                }
            } else if wanted(&name) {
                let relative = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push((relative, path));
            }
        }
    }
    found.sort();
    found
}

pub fn sources() -> Vec<Source> {
    let rust = files(|name| name.ends_with(".rs"));
    assert!(rust.len() > 100, "the workspace was not found");
    rust.into_iter().map(|(path, at)| Source { path, text: std::fs::read_to_string(at).unwrap() }).collect()
}

/// Whether `name` stands in `code` as a whole word; the first line where it does.
pub fn mention(code: &str, name: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name)
        .find(|(at, _)| {
            let before = code[..*at].chars().next_back();
            let after = code[at + name.len()..].chars().next();
            !before.is_some_and(part) && !after.is_some_and(part)
        })
        .map(|(at, _)| code[..at].matches('\n').count() + 1)
}

fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => block_end(&chars, at),
            '"' => string_end(&chars, at),
            'r' | 'b' | 'c' if !follows_word(&chars, at) => prefixed_string_end(&chars, at),
            '\'' => char_end(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |length| at + length)
}

fn block_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0_usize, at);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    chars.len().min(at + 1)
}

/// Past `b"..."`, `r#"..."#` and their like; `at` itself if none begins here.
fn prefixed_string_end(chars: &[char], at: usize) -> usize {
    let mut open = at;
    while matches!(chars.get(open), Some('b' | 'c')) {
        open += 1;
    }
    let raw = chars.get(open) == Some(&'r');
    open += usize::from(raw);
    let hashes = chars[open.min(chars.len())..].iter().take_while(|c| **c == '#').count();
    let (quote, hashes) = if raw { (open + hashes, hashes) } else { (open, 0) };
    if quote == at || chars.get(quote) != Some(&'"') {
        return at;
    }
    if !raw {
        return string_end(chars, quote);
    }
    let closes = |at: &usize| {
        chars[*at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    (quote + 1..chars.len()).find(closes).map_or(chars.len(), |at| at + 1 + hashes)
}

/// Past a character literal; `at` itself if it is a lifetime.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            chars[at + 3..].iter().position(|c| *c == '\'').map_or(chars.len(), |length| at + 4 + length)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

#[test]
fn comments_and_strings_are_no_code() {
    let text = "use a; // sea_orm\n/* sea_orm /* x */ */ let s = \"sea_orm \\\" sea_orm\"; let r = r#\"sea_orm\"#;\n\
                let b = b\"sea_orm\"; let c = '\"'; fn f<'a>(x: &'a str) { sea_orm::y() }";
    let code = code(text);
    assert_eq!(code.matches("sea_orm").count(), 1, "{code}");
    assert_eq!(mention(&code, "sea_orm"), Some(3));
}

#[test]
fn only_whole_words_count() {
    assert_eq!(mention("use sea_orm_migration;", "sea_orm"), None);
    assert_eq!(mention("\nuse sea_orm::Set;", "sea_orm"), Some(2));
}

#[test]
fn unit_tests_are_not_shipped() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    use sea_orm::Set;\n}\n";
    let source = Source { path: "owner/src/x.rs".into(), text: text.into() };
    assert!(mention(&source.shipped(), "sea_orm").is_none() && mention(&source.code(), "sea_orm").is_some());
}
