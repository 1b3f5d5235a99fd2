//! How much successive windows tell: less than independent ones, where they resemble each other.

use crate::statistics::{
    pieces::{pieces, usual_length},
    rhythm::variance,
};

/// Parts of a recording whose means are compared.
const PARTS: usize = 50;

/// How many successive values tell as much of their mean as one independent one: their long-run variance over their variance, by the means
/// of 50 parts; at least 1.
///
/// It holds for what resembles each other over less than a part. With 50 of them it has a relative standard error of 0.2. With the values that
/// `starts` names another recording begins, and no part spans two: where half of the values are in recordings that are shorter than a
/// fiftieth, parts are as long as the other half's are at least, and what resembles each other for longer is not seen.
///
/// # Source
/// R. W. Conway (1963), *Some tactical problems in digital simulation*, Management Science 10: batch means.
#[must_use]
pub fn dependence(values: &[f64], starts: &[usize]) -> f64 {
    let size = (values.len() / PARTS).max(1).min(usual_length(values.len(), starts)).max(1);
    let parts = pieces(starts, values.len()).flat_map(|piece| values[piece].chunks_exact(size));
    let means: Vec<f64> = parts.map(|part| part.iter().sum::<f64>() / size as f64).collect();
    // Not a number for constants and for too few values, of which none tells more than another.
    (size as f64 * variance(&means) / variance(values)).max(1.0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use vae_core::standard_normal;

    use super::*;

    #[test]
    fn an_autoregression_has_its_long_run_variance() {
        // Of x' = φ x + e: (1 + φ) / (1 − φ). A standard error of 0.2; the parts are long beside 1 / (1 − φ).
        for (phi, expected) in [(0.0f32, 1.0), (0.5, 3.0), (0.9, 19.0)] {
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            let mut x = 0.0;
            let values: Vec<f64> = (0..100_000)
                .map(|_| {
                    x = phi * x + standard_normal(&mut rng);
                    f64::from(x)
                })
                .collect();
            let found = dependence(&values, &[]) / expected;
            assert!((0.6..1.6).contains(&found), "{phi}: {found}");
            // In pieces of 500 values, as many parts of 500 as in one of them all; none of them spans two.
            let starts: Vec<usize> = (1..200).map(|piece| 500 * piece).collect();
            let found = dependence(&values, &starts) / expected;
            assert!((0.6..1.6).contains(&found), "{phi} in pieces: {found}");
        }
        assert_eq!(dependence(&[2.0; 100], &[]), 1.0);
        assert_eq!(dependence(&[], &[]), 1.0);
    }

    #[test]
    fn recordings_that_are_each_of_one_value_tell_as_much_as_there_are_recordings() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let values: Vec<f64> = (0..1000).flat_map(|_| [f64::from(standard_normal(&mut rng)); 6]).collect();
        let starts: Vec<usize> = (1..1000).map(|piece| 6 * piece).collect();
        assert_eq!(usual_length(6000, &starts), 6);
        let found = dependence(&values, &starts);
        assert!((found / 6.0 - 1.0).abs() < 0.01, "{found}");
    }
}
