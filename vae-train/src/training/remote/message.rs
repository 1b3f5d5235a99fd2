//! What client and server say to each other.
//!
//! All of it travels as tensors of `f32`: numbers as they are, and other messages as words of four bytes, which nobody computes with.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    model::{architecture::Architecture, objective::Objective},
    training::step::Sums,
};

/// The operation that tells what a server is: no inputs, [`HELLO_WORDS`] words that hold a [`Hello`].
pub(crate) const HELLO: &str = "vae-train/hello";
pub(crate) const HELLO_WORDS: usize = 32;
/// The operation that computes a gradient. Inputs: words of a [`Request`]; weights; noise; blur, where there is some; and the
/// windows, as [`Request::known`] says.
/// Output: [`head_words`] words of an [`Answer`], then all parameters' gradients, zero where there is none.
pub(crate) const GRADIENT: &str = "vae-train/gradient";

/// Changes with what the messages are.
const LAYOUT: u32 = 1;
/// Bytes of the longest reason that an [`Answer`] has.
const LONGEST_REASON: usize = 400;

/// What a server is.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Of the program.
    version: String,
    layout: u32,
}

impl Hello {
    /// What this program is.
    pub(crate) fn ours() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), layout: LAYOUT }
    }

    /// Refuses a server that would compute something else than this program, or not understand it.
    ///
    /// # Errors
    /// Names both versions.
    pub(crate) fn check(&self) -> Result<()> {
        let ours = Self::ours();
        ensure!(
            *self == ours,
            "it is vae-train {} (messages {}), and this is {} (messages {}): install the same version on both machines",
            self.version,
            self.layout,
            ours.version,
            ours.layout
        );
        Ok(())
    }
}

/// A device's share of a step.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) objective: Objective,
    pub(crate) architecture: Architecture,
    /// Windows that the loss is the mean of.
    pub(crate) of: usize,
    /// Whether there is noise on what the encoder sees.
    pub(crate) is_blurred: bool,
    /// Indices of the share's windows among those that were uploaded: the windows' inputs of the operation are these, all but the last with
    /// `rows` windows. None where the one input has the share's windows themselves.
    pub(crate) known: Option<Vec<u32>>,
    pub(crate) rows: usize,
}

/// What the gradient comes with, and which parameters have one; or why there is none.
pub(crate) type Answer = Result<(Sums, Vec<bool>), String>;

/// Words before the gradients, for a network with so many parameter tensors.
pub(crate) fn head_words(parameters: usize) -> usize {
    (LONGEST_REASON + parameters) / 4 + 32
}

/// A reason, no longer than there is room for.
pub(crate) fn reason(error: &anyhow::Error) -> String {
    let mut reason = format!("{error:#}");
    let end = (0..=LONGEST_REASON.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    reason.truncate(end.unwrap_or(0));
    reason
}

/// A message as words.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn to_words(message: &impl Serialize) -> Result<Vec<f32>> {
    let mut bytes = postcard::to_allocvec(message).context("a message cannot be written")?;
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok(bytes.chunks_exact(4).map(|word| f32::from_ne_bytes([word[0], word[1], word[2], word[3]])).collect())
}

/// A message as so many words.
///
/// # Errors
/// If it has more.
pub(crate) fn to_padded(message: &impl Serialize, words: usize) -> Result<Vec<f32>> {
    let mut found = to_words(message)?;
    ensure!(found.len() <= words, "a message of {} words where there is room for {words}", found.len());
    found.resize(words, 0.0);
    Ok(found)
}

/// A message of words, which may be followed by others.
///
/// # Errors
/// If they hold none.
pub(crate) fn from_words<T: DeserializeOwned>(words: &[f32]) -> Result<T> {
    let (message, _) = postcard::take_from_bytes(bytemuck::cast_slice(words)).context("a message cannot be read")?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_another_version_is_refused_by_name() {
        assert!(Hello::ours().check().is_ok());
        let other = Hello { version: "0.0.9".to_owned(), layout: LAYOUT };
        let message = other.check().unwrap_err().to_string();
        assert!(message.contains("vae-train 0.0.9") && message.contains(env!("CARGO_PKG_VERSION")), "{message}");
        assert!(Hello { layout: LAYOUT + 1, ..Hello::ours() }.check().is_err());
    }

    #[test]
    fn messages_come_back_whatever_follows_them() {
        let mut words = to_padded(&Hello::ours(), HELLO_WORDS).unwrap();
        words.push(f32::NAN);
        assert_eq!(from_words::<Hello>(&words).unwrap(), Hello::ours());
        assert!(to_padded(&Hello::ours(), 1).is_err());
        assert!(from_words::<Answer>(&[f32::from_bits(u32::MAX)]).is_err());
    }

    #[test]
    fn the_longest_answers_have_room() {
        for parameters in [1, 30, 1000] {
            let words = head_words(parameters);
            let long = anyhow::anyhow!("{}", "ü".repeat(1000));
            let failed: Answer = Err(reason(&long));
            let computed: Answer = Ok((Sums::default(), vec![true; parameters]));
            for answer in [failed, computed] {
                let read: Answer = from_words(&to_padded(&answer, words).unwrap()).unwrap();
                assert_eq!(read.is_ok(), answer.is_ok());
            }
        }
    }
}
