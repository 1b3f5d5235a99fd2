//! Models and windows that the host's bench and checks put into one file.

/// The models of a pack, each with its windows' values: the model's length in bytes and the number of values (a word each), the model, padded
/// to whole words, and the values.
pub fn models(pack: &'static [u8]) -> impl Iterator<Item = (&'static [u8], &'static [[u8; 4]])> {
    let mut rest = pack;
    core::iter::from_fn(move || {
        let (lengths, behind) = rest.split_first_chunk::<8>()?;
        let [bytes, values] = [0, 4].map(|at| lengths.get(at..).and_then(|word| word.first_chunk()).copied());
        let [bytes, values] = [bytes, values].map(|word| u32::from_le_bytes(word.unwrap_or_default()) as usize);
        let (model, behind) = behind.split_at_checked(bytes.next_multiple_of(4))?;
        let (windows, behind) = behind.split_at_checked(4 * values)?;
        rest = behind;
        Some((model.get(..bytes)?, windows.as_chunks().0))
    })
}
