//! Rows in clusters.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Which of at most `clusters` clusters each row of `features` values belongs to, after so many `rounds`.
///
/// Starts at rows drawn with chances that are proportional to their squared distance from those drawn before; where all rows are among these,
/// there are fewer clusters. A cluster that loses all of its rows keeps its centre.
///
/// # Source
/// S. P. Lloyd (1982), *Least squares quantization in PCM*; D. Arthur & S. Vassilvitskii (2007), *k-means++: the advantages of careful seeding*.
pub(crate) fn k_means(
    rows: &[f64],
    features: usize,
    clusters: usize,
    rounds: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let mut centres = seeds(rows, features, clusters, rng);
    let mut assigned = nearest(rows, features, &centres);
    for _ in 0..rounds {
        let mut counts = vec![0.0; centres.len() / features];
        let mut sums = vec![0.0; centres.len()];
        for (row, &cluster) in rows.chunks_exact(features).zip(&assigned) {
            counts[cluster] += 1.0;
            sums[cluster * features..][..features].iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let clusters = centres.chunks_exact_mut(features).zip(sums.chunks_exact(features)).zip(&counts);
        for ((centre, sums), count) in clusters.filter(|(_, count)| **count > 0.0) {
            centre.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum / count);
        }
        let before = std::mem::replace(&mut assigned, nearest(rows, features, &centres));
        if before == assigned {
            break;
        }
    }
    assigned
}

/// The rows that clusters start at, one after the other.
fn seeds(rows: &[f64], features: usize, clusters: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let count = rows.len() / features;
    let mut seeds = rows[rng.random_range(0..count) * features..][..features].to_vec();
    let mut distances = vec![f64::INFINITY; count];
    while seeds.len() < clusters * features {
        let newest = &seeds[seeds.len() - features..];
        for (distance, row) in distances.iter_mut().zip(rows.chunks_exact(features)) {
            *distance = distance.min(squared_distance(row, newest));
        }
        let mut left = rng.random::<f64>() * distances.iter().sum::<f64>();
        let drawn = distances.iter().position(|distance| {
            left -= distance;
            *distance > 0.0 && left <= 0.0
        });
        // Rounding may leave a little; without any distance there is nothing to draw.
        let Some(drawn) = drawn.or_else(|| distances.iter().rposition(|distance| *distance > 0.0)) else { break };
        seeds.extend_from_slice(&rows[drawn * features..][..features]);
    }
    seeds
}

/// Which centre each row is nearest to.
fn nearest(rows: &[f64], features: usize, centres: &[f64]) -> Vec<usize> {
    let nearest = |row: &[f64]| {
        let distances = centres.chunks_exact(features).map(|centre| squared_distance(row, centre)).enumerate();
        distances.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(cluster, _)| cluster)
    };
    rows.par_chunks_exact(features).with_min_len(256).map(nearest).collect()
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn rows_far_apart_are_in_clusters_of_their_own() {
        // Four places 10 apart, with rows within 0.5 of them.
        let place = |i: usize| [10.0 * (i % 2) as f64, 10.0 * (i / 2 % 2) as f64];
        let rows: Vec<f64> = (0..80).flat_map(|i| place(i).map(|at| at + (i as f64).sin() / 2.0)).collect();
        for seed in 0..5 {
            let found = k_means(&rows, 2, 4, 10, &mut ChaCha8Rng::seed_from_u64(seed));
            assert!((4..80).all(|i| found[i] == found[i % 4]), "{found:?}");
            assert!((1..4).all(|i| !found[..i].contains(&found[i])), "{found:?}");
        }
    }

    #[test]
    fn there_are_no_more_clusters_than_rows_that_differ() {
        let found = k_means(&[1.0, 1.0, 2.0, 2.0, 1.0], 1, 4, 10, &mut ChaCha8Rng::seed_from_u64(1));
        assert!(found.iter().all(|cluster| *cluster < 2) && found[0] == found[4] && found[0] != found[2], "{found:?}");
    }
}
