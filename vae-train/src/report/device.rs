//! What the model costs: in exactness by being rounded, in memory, and in instructions on each core.

use anyhow::Result;
use maud::{Markup, html};

use super::{
    bars::{Bar, Bars},
    chart::Look,
    page::{Figure, Table, facts},
};
use crate::{
    report::material::Material,
    run::quantisation::{LayerError, Quantisation},
    scoring::cost,
    words::numbers::{count, fixed, number, percent},
};

/// Memory, instructions and rounding.
pub(super) fn device(material: &Material<'_>) -> Result<Markup> {
    let model = &material.model;
    let bytes = |bytes: usize| format!("{} bytes", count(bytes));
    let list = [
        ("Flash: the model file", bytes(model.flash_len())),
        ("RAM: scratch while scoring", bytes(4 * model.scratch_len())),
        ("RAM: samples of a window", bytes(4 * model.window_len())),
        ("RAM: the detector's state", bytes(4 * model.state_len())),
        ("Snapshot of the detector over a loss of power", bytes(model.snapshot_len())),
        ("Multiplications a score", count(cost::products(model)?)),
    ];
    Ok(html! {
        (facts(&list))
        div class="figures" {
            (instructions(material)?)
            @match material.quantisation {
                Some(quantisation) => (rounding(quantisation)),
                None => p { "Weights are f32: nothing is rounded." },
            }
        }
    })
}

fn instructions(material: &Material<'_>) -> Result<Markup> {
    let costs = cost::instructions(&material.model)?;
    let rate = material.calibration.and_then(|report| report.windows_per_second);
    let load =
        |instructions: u64| rate.map(|rate| format!("{} million a second", number(rate * instructions as f64 / 1e6)));
    let rows = costs.iter().map(|(core, instructions)| {
        let tip = format!("{core}: {} instructions a score", count(*instructions));
        ((*core).to_owned(), vec![Bar { look: Look::One, from: 0.0, to: *instructions as f64 / 1000.0, tip }])
    });
    let bars = Bars { label: "thousand instructions a score".to_owned(), rows: rows.collect() };
    let rows = costs.iter().map(|(core, instructions)| {
        [(*core).to_owned(), count(*instructions)].into_iter().chain(load(*instructions)).collect()
    });
    let mut head = vec!["core", "instructions a score"];
    if rate.is_some() {
        head.push("at the sample rate");
    }
    let figure = Figure {
        id: "instructions",
        title: "Instructions a score".to_owned(),
        reading: "Shorter is cheaper. An instruction takes somewhat more than one clock cycle: divide by the clock's frequency for the \
             time of a score.",
        shows: match rate {
            Some(rate) => format!(
                "By a cost model fitted to counts in an emulator, within 5 %. {} windows come each second.",
                number(rate)
            ),
            None => "By a cost model fitted to counts in an emulator, within 5 %.".to_owned(),
        },
        legend: Vec::new(),
        table: Table::new("Instructions of a score at the mean", &head, rows),
    };
    Ok(figure.around(|_, text| bars.draw(text)))
}

fn rounding(quantisation: &Quantisation) -> Markup {
    let Quantisation { windows, layers, score_shift, spread, flipped } = quantisation;
    let name = |layer: &LayerError| format!("{} {} → {}", layer.half, layer.inputs, layer.outputs);
    let rows = layers.iter().map(|layer| {
        let bar = |look, what: &str, error: f64| Bar {
            look,
            from: 0.0,
            to: 100.0 * error,
            tip: format!("{}: {what} {}", name(layer), percent(error)),
        };
        let bars =
            vec![bar(Look::One, "its own weights", layer.weights), bar(Look::Two, "all rounding so far", layer.output)];
        (name(layer), bars)
    });
    let bars = Bars { label: "error of the layer's outputs (%)".to_owned(), rows: rows.collect() };
    let rows = layers.iter().map(|layer| vec![name(layer), percent(layer.weights), percent(layer.output)]);
    let figure = Figure {
        id: "rounding",
        title: "What 8-bit weights cost".to_owned(),
        reading: "A layer whose own bar is much longer than the others' suffers from rounding; below a few per cent there is nothing to do.",
        shows: format!(
            "Scores shift by {} nats on average, in magnitude by {} (at most {} for 95 % of the windows, {} for all); their \
             interquartile range is {}. The verdict flips on {flipped} of {} held-out windows.",
            fixed(score_shift.mean, 3),
            fixed(score_shift.mean_magnitude, 3),
            fixed(score_shift.magnitude_95, 3),
            fixed(score_shift.largest, 3),
            number(*spread),
            count(*windows)
        ),
        legend: vec![(Look::One, "its own weights".to_owned()), (Look::Two, "all rounding so far".to_owned())],
        table: Table::new(
            "RMS error of each layer's outputs, relative to f32",
            &["layer", "its own weights", "all so far"],
            rows,
        ),
    };
    figure.around(|_, text| bars.draw(text))
}
