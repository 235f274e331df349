//! The file on its disk, which Keylime's agent writes anew, in place, at each start.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::{AgentData, DataError, MAX_LEN};

/// The readings of a file that is half-written, and the pause between them: a second in all, for a
/// write of milliseconds.
const READINGS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// The file, and its content when it was last good.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    content: Vec<u8>,
}

impl DataFile {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, content: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. [`None`] where it is what it was at the last good reading; compared by
    /// content, as a file can change within one time stamp.
    pub(crate) fn changed(&mut self) -> Result<Option<AgentData>, DataError> {
        let mut readings = 1;
        loop {
            let content = self.read()?;
            if !content.is_empty() && content == self.content {
                return Ok(None);
            }
            match AgentData::parse(&content) {
                Err(DataError::HalfWritten) if readings < READINGS => {
                    readings += 1;
                    sleep(PAUSE);
                }
                read => {
                    let data = read?;
                    self.content = content;
                    return Ok(Some(data));
                }
            }
        }
    }

    /// Makes the next reading one of a changed file.
    pub(crate) fn forget(&mut self) {
        self.content.clear();
    }

    fn read(&self) -> Result<Vec<u8>, DataError> {
        let limit = u64::try_from(MAX_LEN).map_or(u64::MAX, |limit| limit + 1);
        let mut content = Vec::new();
        File::open(&self.path)?.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }
}
