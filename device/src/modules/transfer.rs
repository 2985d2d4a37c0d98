//! How far a file has come, for people who wait.

use std::fmt;

/// A file on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// By which module.
    pub module: &'static str,
    /// What the owner calls it.
    pub name: &'a str,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
}

impl fmt::Display for Transfer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: String = self.name.escape_debug().take(64).collect();
        write!(f, "{} {name}: {}", self.module, Bytes(self.done))?;
        match self.total {
            Some(total) => write!(f, " of {}", Bytes(total)),
            None => Ok(()),
        }
    }
}

struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..10_240 => write!(f, "{bytes} bytes"),
            bytes @ 10_240..10_485_760 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{} MiB", bytes >> 20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_in_words() {
        let at = |done, total| Transfer { module: "fdo.upload", name: "a\n", done, total }.to_string();
        assert_eq!(at(5, None), "fdo.upload a\\n: 5 bytes");
        assert_eq!(at(20_480, Some(64 << 20)), "fdo.upload a\\n: 20 KiB of 64 MiB");
    }
}
