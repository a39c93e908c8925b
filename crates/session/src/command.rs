//! One unit that policy judges.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sallyport_policy::{Act, acts_to_json};
use serde_json::json;
use smol_str::SmolStr;

/// Turns a protocol's parameters into words for people, one after the other.
pub type InWords = fn(&[u8], &mut dyn FnMut(&str));

/// A command as a conversation puts it to the gate.
#[derive(Debug, Clone)]
pub struct Command {
    /// What is known of its text. Commands of one shape differ in their parameters only.
    pub shape: Arc<Shape>,
    /// The exact bytes of the command's text.
    pub text: Bytes,
    /// The bound parameters as the protocol sent them; empty when there are none.
    pub parameters: Bytes,
    /// What else decides what the command means, in one canonical form: search path, user, parser settings, the text of
    /// statements that it runs by name. An approval is bound to it.
    pub state: Bytes,
    /// The parameters in words, for reviewers and replay. Called only when somebody will read them.
    pub readable: Option<InWords>,
    /// Whether the command runs now, or is only being prepared and will be asked again before it runs.
    pub phase: Phase,
}

impl Command {
    /// The parameters in words.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(readable) = self.readable {
            readable(&self.parameters, &mut |word| words.push(word.to_owned()));
        }
        words
    }

    /// Appends what a recording holds beside the text, in JSON; nothing for a command that runs without parameters.
    pub(crate) fn write_detail(&self, out: &mut Vec<u8>) {
        if self.parameters.is_empty() && self.phase == Phase::Run {
            return;
        }
        // Written by hand, for it is written for every command: a list would be made only to be read once.
        out.push(b'{');
        let mut count = 0;
        if let Some(readable) = self.readable {
            readable(&self.parameters, &mut |word| {
                out.extend_from_slice(if count == 0 { br#""parameters":["# } else { b"," });
                count += 1;
                // A string: there is nothing in it that JSON cannot say, nor a writer that fails.
                let _ = serde_json::to_writer(&mut *out, word);
            });
        }
        if count > 0 {
            out.push(b']');
        }
        if self.phase == Phase::Prepare {
            out.extend_from_slice(if count == 0 {
                br#""prepare":true"#
            } else {
                br#","prepare":true"#
            });
        }
        out.push(b'}');
    }
}

/// Whether a command runs or is only prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing runs yet: a hold lets it pass, because the same command is asked again with its parameters.
    Prepare,
    /// The target will run it.
    Run,
}

/// What is known of a command's text: what policy judges, and what its result shows.
#[derive(Debug)]
pub struct Shape {
    /// Unique within the process; decisions are cached by it.
    pub id: u64,
    /// The acts that policy judges; each must be allowed.
    pub acts: Vec<Act>,
    /// The classes of what a result may show, for which `reveal` is decided.
    pub shows: Vec<SmolStr>,
    /// The classes of values that its result may carry where none can be masked: each must be one that the principal sees
    /// in the clear.
    pub carries: Vec<SmolStr>,
    /// Why the command could not be understood, if so.
    pub unparsed: Option<Unparsed>,
    /// The parser understood all of it, and there is nothing in it to run: comments, or nothing at all.
    pub empty: bool,
    /// The facts in JSON, as the protocol has them.
    pub facts: String,
    /// What a recording holds of it, made when the first does.
    pub recorded: OnceLock<Recorded>,
}

/// What a recording holds of a shape: enough to judge its commands again.
#[derive(Debug)]
pub struct Recorded {
    /// Fields of a JSON object: `"facts":[…],"shows":[…]`.
    pub(crate) fields: Box<[u8]>,
    /// Equal for shapes that policy cannot tell apart.
    pub(crate) digest: [u8; 16],
}

impl Recorded {
    fn of(shape: &Shape) -> Self {
        let mut all = json!({ "facts": acts_to_json(&shape.acts) });
        if let Some(fields) = all.as_object_mut() {
            for (name, classes) in [("shows", &shape.shows), ("carries", &shape.carries)] {
                if !classes.is_empty() {
                    fields.insert(name.to_owned(), json!(classes));
                }
            }
            if shape.empty {
                fields.insert("empty".to_owned(), json!(true));
            }
        }
        let text = all.to_string();
        let fields = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
            .unwrap_or_default();
        let mut digest = [0; 16];
        blake3::Hasher::new()
            .update(fields.as_bytes())
            .finalize_xof()
            .fill(&mut digest);
        Self {
            fields: fields.as_bytes().into(),
            digest,
        }
    }
}

/// What the parser said of a command that it does not understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unparsed {
    /// The parser's sentence.
    pub message: String,
    /// Where: 1-based characters, if known.
    pub position: Option<usize>,
}

impl Shape {
    /// What a recording holds of it.
    pub(crate) fn recorded(&self) -> &Recorded {
        self.recorded.get_or_init(|| Recorded::of(self))
    }

    /// A number that no other shape of this process has.
    #[must_use]
    pub fn next_id() -> u64 {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}
