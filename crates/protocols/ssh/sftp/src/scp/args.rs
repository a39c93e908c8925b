//! The command line of the program on the target.

use bytes::Bytes;

use crate::out::Direction;

/// More paths are not understood: each file may come from any of them.
const MOST_PATHS: usize = 64;

/// What `scp` is asked to do on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScpCommand {
    /// `-t` takes files, `-f` gives them.
    pub direction: Direction,
    /// `-r`: directories too.
    pub recursive: bool,
    /// `-d`: the path must be a directory.
    pub directory: bool,
    /// `-p`: permissions and times are kept.
    pub preserve: bool,
    /// The paths as they are given, from the directory in which the program starts. `-t` has one.
    pub paths: Vec<Bytes>,
}

impl ScpCommand {
    /// Understands the arguments after the program's name. `None` if they are not those that a client gives.
    #[must_use]
    pub fn parse(args: &[Bytes]) -> Option<Self> {
        let (mut takes, mut gives) = (false, false);
        let (mut recursive, mut directory, mut preserve) = (false, false, false);
        let mut args = args.iter();
        let mut paths: Vec<Bytes> = Vec::new();
        for arg in args.by_ref() {
            match arg.strip_prefix(b"-") {
                Some(b"-") => break,
                Some(letters @ [_, ..]) => {
                    for letter in letters {
                        match letter {
                            b't' => takes = true,
                            b'f' => gives = true,
                            b'r' => recursive = true,
                            b'd' => directory = true,
                            b'p' => preserve = true,
                            b'v' | b'q' => {}
                            _ => return None,
                        }
                    }
                }
                Some([]) | None => {
                    paths.push(arg.clone());
                    break;
                }
            }
        }
        paths.extend(args.cloned());
        // What programs make of an empty path differs.
        if paths.len() > MOST_PATHS || paths.iter().any(Bytes::is_empty) {
            return None;
        }
        let direction = match (takes, gives) {
            (true, false) if paths.len() == 1 => Direction::Upload,
            (false, true) if !paths.is_empty() => Direction::Download,
            _ => return None,
        };
        // What follows a path is a path, as POSIX has it; a program that reorders would take these for options.
        let reordered = paths.iter().skip(1).any(|path| path.starts_with(b"-"));
        (!reordered).then_some(Self {
            direction,
            recursive,
            directory,
            preserve,
            paths,
        })
    }
}
