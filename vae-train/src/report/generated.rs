//! What the model makes up by itself: whether it has understood what is normal.

use anyhow::Result;
use maud::{Markup, html};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::Scratch;

use super::{
    bars::{Bar, Bars},
    chart::{Axis, Chart, Look},
    page::{Figure, Table},
    windows::picture,
};
use crate::{report::material::Material, statistics::metrics::quantile, words::numbers::number};

/// Windows that quantiles are taken of.
const WINDOWS: usize = 500;
/// Pieces of a stream, and images, that are shown.
const PIECES: usize = 3;
const IMAGES: usize = 24;
/// Values of a row, and channels of a stream, that are shown.
const FEATURES: usize = 12;
const CHANNELS: usize = 3;

/// Windows that are drawn from the model beside held-out ones.
pub(super) fn generated(material: &Material<'_>) -> Result<Markup> {
    let held_out = material.holdout.len() / material.width();
    // Evenly spaced, as neighbours in a stream are alike.
    let some = |most: usize| -> Vec<f32> {
        let most = most.min(held_out);
        let indices: Vec<usize> = (0..most).map(|index| index * held_out / most).collect();
        material.gather(material.holdout, &indices)
    };
    let drawn = if material.is_image() {
        images(material, &some(IMAGES))?
    } else if material.is_stream() {
        pieces(material, &some(PIECES))?
    } else {
        rows(material, &some(WINDOWS))?
    };
    Ok(html! {
        p {
            "Drawn from the prior by seed " (material.seed) ", by the model alone. They should look like normal data: a model that cannot \
             make them up does not know what is normal."
            @if material.model.conditions() > 0 { " Conditions are those of held-out windows." }
        }
        div class="figures" { (drawn) }
    })
}

/// A window for each of `held_out`, under its condition: of images their means, else with the noise that the model expects.
fn draw(material: &Material<'_>, held_out: &[f32]) -> Result<Vec<f32>> {
    let model = &material.model;
    let mut rng = ChaCha8Rng::seed_from_u64(material.seed);
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let (mut z, mut x) = (vec![0.0; model.latent()], vec![0.0; model.features()]);
    let mut windows = Vec::new();
    for inputs in held_out.chunks_exact(material.width()) {
        let model = model.given(&inputs[model.features()..])?;
        model.sample_prior(&mut rng, &mut z[..])?;
        if material.is_image() {
            model.decode(&z[..], &mut x[..], &mut scratch)?;
        } else {
            model.decode_sample(&z[..], &mut rng, &mut x[..], &mut scratch)?;
        }
        windows.extend_from_slice(&x);
    }
    Ok(windows)
}

fn images(material: &Material<'_>, held_out: &[f32]) -> Result<Markup> {
    let figure = Figure {
        id: "made-up",
        title: "Made-up images".to_owned(),
        reading: "They should look like images that were trained on, neither all alike nor smeared.",
        shows: format!("{IMAGES} means of p(x|z), z drawn from the prior."),
        legend: Vec::new(),
        table: Table::default(),
    };
    let source = picture(&draw(material, held_out)?, material.model.features(), 8)?;
    Ok(figure.around(|_, text| html! { img src=(source) alt="Images" aria-labelledby=(text); }))
}

/// Pieces of a stream, recorded and made up.
fn pieces(material: &Material<'_>, held_out: &[f32]) -> Result<Markup> {
    let names = &material.state.plan.schema.channels;
    let features = material.model.features();
    let recorded: Vec<&[f32]> = held_out.chunks_exact(material.width()).map(|inputs| &inputs[..features]).collect();
    let made_up = draw(material, held_out)?;
    let shown = names.len().min(CHANNELS);
    let looks = [Look::One, Look::Two, Look::Three];
    let (label, step) = material.time();
    let values = || recorded.iter().copied().flatten().chain(&made_up).enumerate();
    let value_axis = Axis::over(
        if shown == 1 { names[0].clone() } else { "value, in the channel's unit".to_owned() },
        values().filter(|(index, _)| index % names.len() < shown).map(|(_, value)| f64::from(*value)),
    );
    let figure = |kind: &str, index: usize, window: &[f32]| {
        let mut chart = Chart::new(Axis::new(label, 0.0, material.model.window() as f64 * step), value_axis.clone());
        for (channel, look) in looks.iter().enumerate().take(shown) {
            let own = window.iter().skip(channel).step_by(names.len()).enumerate();
            chart.line(*look, own.map(|(sample, value)| (sample as f64 * step, f64::from(*value))));
        }
        let id = format!("{kind}-{index}");
        let head: Vec<&str> = [label].into_iter().chain(names.iter().map(String::as_str)).collect();
        let rows = window.chunks_exact(names.len()).enumerate().map(|(sample, values)| {
            [number(sample as f64 * step)]
                .into_iter()
                .chain(values.iter().map(|value| number(f64::from(*value))))
                .collect()
        });
        let figure = Figure {
            id: &id,
            title: if kind == "recorded" {
                format!("Recorded {}", index + 1)
            } else {
                format!("Made up {}", index + 1)
            },
            reading: "Recorded and made-up pieces should look alike in height, pace and roughness.",
            shows: if names.len() > shown {
                format!("The first {shown} of {} channels.", names.len())
            } else {
                "All channels.".to_owned()
            },
            legend: looks.into_iter().zip(names).take(shown).map(|(look, name)| (look, name.clone())).collect(),
            table: Table::new("Samples", &head, rows),
        };
        figure.around(|id, text| chart.draw(id, text))
    };
    Ok(html! {
        @for (index, window) in recorded.iter().enumerate() { (figure("recorded", index, window)) }
        @for (index, window) in made_up.chunks_exact(features).enumerate() { (figure("made-up", index, window)) }
    })
}

/// The ranges of a row's values, recorded and made up.
fn rows(material: &Material<'_>, held_out: &[f32]) -> Result<Markup> {
    let names = material.feature_names();
    let (features, width) = (material.model.features(), material.width());
    let made_up = draw(material, held_out)?;
    let standardiser = &material.state.plan.schema.standardiser;
    // Ends of the middle 90 %, and the middle; none where nothing was observed.
    let range = |values: &[f32], width: usize, feature: usize| -> Option<[f64; 3]> {
        let mut own: Vec<f32> =
            values.iter().skip(feature).step_by(width).copied().filter(|value| !value.is_nan()).collect();
        own.sort_by(f32::total_cmp);
        (!own.is_empty()).then(|| [0.05, 0.5, 0.95].map(|p| f64::from(quantile(&own, p))))
    };
    let ranges: Vec<_> =
        (0..features).map(|feature| [range(held_out, width, feature), range(&made_up, features, feature)]).collect();
    let bars = ranges.iter().enumerate().take(FEATURES).map(|(feature, ranges)| {
        let (mean, scale) = (f64::from(standardiser.mean[feature]), f64::from(standardiser.scale[feature]));
        let bars =
            ranges.iter().zip([(Look::One, "held out"), (Look::Two, "made up")]).filter_map(|(range, (look, kind))| {
                let [low, _, high] = (*range)?;
                let tip = format!("{}, {kind}: {} to {}", names[feature], number(low), number(high));
                Some(Bar { look, from: (low - mean) / scale, to: (high - mean) / scale, tip })
            });
        (names[feature].clone(), bars.collect())
    });
    let bars = Bars { label: "middle 90 %, in standard deviations".to_owned(), rows: bars.collect() };
    let rows = ranges.iter().zip(&names).map(|(ranges, name)| {
        let text = |range: &Option<[f64; 3]>| range.map_or(["none"; 3].map(str::to_owned), |range| range.map(number));
        std::iter::once(name.clone()).chain(ranges.iter().flat_map(text)).collect()
    });
    let head = ["value", "held out 5 %", "50 %", "95 %", "made up 5 %", "50 %", "95 %"];
    let count = held_out.len() / width;
    let figure = Figure {
        id: "made-up",
        title: "Ranges, recorded and made up".to_owned(),
        reading: "Both bars of a value should begin and end at the same places.",
        shows: format!(
            "{count} windows of each kind.{}",
            if features > FEATURES {
                format!(" The first {FEATURES} of {features} values are drawn.")
            } else {
                String::new()
            }
        ),
        legend: vec![(Look::One, "held out".to_owned()), (Look::Two, "made up".to_owned())],
        table: Table::new("Quantiles of the values", &head, rows),
    };
    Ok(figure.around(|_, text| bars.draw(text)))
}
