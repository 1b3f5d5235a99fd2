//! What was trained on, how, and how it went.

use anyhow::{Context as _, Result};
use maud::{Markup, html};
use vae_core::{
    FrontEnd,
    format::{LikelihoodKind, PosteriorKind, Precision},
};

use super::{
    chart::{Axis, Chart, Look, Mark},
    page::{Figure, Table, facts},
};
use crate::{
    config::Config,
    report::material::Material,
    training::checkpoint::EpochMetrics,
    words::numbers::{count, fixed, number},
};

/// Share of the epochs, from the first on, whose values may lie below the axis: those of weights that have learned nothing yet.
const CUT_OFF: usize = 20;

/// The model in one line.
pub(super) fn subtitle(material: &Material<'_>) -> Result<String> {
    let model = &material.model;
    let header = model.header()?;
    let input = match (model.window(), model.channels()) {
        (1, channels) => format!("rows of {channels} columns"),
        (window, channels) => format!("windows of {window} samples of {channels} channels"),
    };
    let weights = match header.precision {
        Precision::Int8 => "8-bit",
        Precision::F32 => "32-bit",
    };
    Ok(format!(
        "Variational autoencoder on {input}: {weights} weights; {} latent numbers, {}; {}.",
        model.latent(),
        posterior(header.posterior),
        likelihood(header.likelihood)
    ))
}

/// What is known of a window's latent numbers.
fn posterior(kind: PosteriorKind) -> String {
    match kind {
        PosteriorKind::DiagonalGaussian => "each normally distributed by itself".to_owned(),
        PosteriorKind::FullGaussian => "normally distributed and correlated".to_owned(),
        PosteriorKind::Bernoulli => "each 0 or 1".to_owned(),
        PosteriorKind::Categorical { categories } => format!("in groups that name one of {categories} categories each"),
    }
}

/// How values are expected to be distributed about what the decoder says.
fn likelihood(kind: LikelihoodKind) -> String {
    match kind {
        LikelihoodKind::Bernoulli => "values are 0 or 1 with a chance of their own".to_owned(),
        LikelihoodKind::GaussianFixed => "values are normally distributed, all with the same spread".to_owned(),
        LikelihoodKind::GaussianPerFeature => {
            "values are normally distributed, each with a spread of its own".to_owned()
        }
        LikelihoodKind::GaussianPredicted => {
            "values are normally distributed, with a spread that depends on the window".to_owned()
        }
        LikelihoodKind::Mixed => "numbers are normally distributed, states have a chance each".to_owned(),
        LikelihoodKind::GaussianCovariance(rank) => {
            format!(
                "values are normally distributed and vary together in {rank} direction(s), which depend on the window"
            )
        }
    }
}

/// Rows, columns, versions and settings.
pub(super) fn data(material: &Material<'_>) -> Result<Markup> {
    let Material { state, fit, model, .. } = material;
    let schema = &state.plan.schema;
    let missing = || "not recorded by this run".to_owned();
    let windows = match fit {
        Some(fit) => format!("{} to train, {} held out", count(fit.training_windows), count(fit.held_out_windows)),
        None => format!("{} held out", count(material.holdout.len() / material.width())),
    };
    let trained = |of: fn(&super::material::Fit) -> String| fit.as_ref().map(of).filter(|text| !text.is_empty());
    let mut list = vec![
        ("Trained on", trained(|fit| fit.file.clone()).unwrap_or_else(missing)),
        ("Fingerprint of the data", schema.data.clone()),
        ("Windows", windows),
        ("A window", format!("{} sample(s), a new one every {}", schema.window, schema.hop)),
        (
            "Columns",
            format!(
                "{}, of which {} given as conditions",
                schema.channels.len() + schema.conditions.len(),
                schema.conditions.len()
            ),
        ),
        ("Columns left out", if schema.dropped.is_empty() { "none".to_owned() } else { schema.dropped.join(", ") }),
        ("Seed", state.plan.config.seed.to_string()),
        (
            "Fitted by",
            trained(|fit| fit.version.clone()).map_or_else(missing, |version| format!("vae-train {version}")),
        ),
    ];
    if let Some(report) = material.calibration {
        list.push((
            "Calibrated on",
            format!("{} normal windows, {} left out", count(report.windows), count(report.left_out)),
        ));
    }
    if let Some(data) = &material.data {
        list.push(("Tried on", format!("{}: {} windows", data.name, count(data.scored.windows.len()))));
    }
    let notes = fit.as_ref().map_or(&[][..], |fit| &fit.notes);
    Ok(html! {
        (facts(&list))
        @if !notes.is_empty() {
            h3 { "What was said of the data" }
            ul { @for note in notes { li { (note) } } }
        }
        details { summary { "Columns" } (columns(material)?.draw()) }
        details { summary { "Layers" } (layers(model)?.draw()) }
        details { summary { "Settings" } (settings(&state.plan.config)?.draw()) }
    })
}

fn columns(material: &Material<'_>) -> Result<Table> {
    let model = &material.model;
    let (mean, inverse_scale) = model.standardiser()?;
    let calibration = model.calibration()?;
    let mut feature = 0;
    let mut rows = Vec::new();
    for (index, channel) in material.state.plan.schema.channels.iter().enumerate() {
        let front_end = model.front_end(index)?;
        let range = material.fit.as_ref().and_then(|fit| fit.ranges.get(index).copied());
        // Of what has an origin the differences, whose digits would not be seen beside it.
        let origin = material.state.plan.schema.origins.get(index).copied().unwrap_or(0.0);
        let value = |value: Option<f64>| value.map_or("none".to_owned(), |value| number(value - origin));
        let sensor = calibration.channel(index).map(|channel| channel.range).filter(|range| range.0 > f32::MIN);
        rows.push(vec![
            if origin == 0.0 { channel.clone() } else { format!("{channel} less {origin}") },
            value(range.and_then(|range| range.0)),
            value(range.and_then(|range| range.1)),
            mean.get(feature).map_or(String::new(), |mean| number(f64::from(*mean))),
            inverse_scale.get(feature).map_or(String::new(), |inverse| number(1.0 / f64::from(*inverse))),
            match front_end {
                FrontEnd::Raw => "samples".to_owned(),
                FrontEnd::Mean => "mean".to_owned(),
                FrontEnd::Statistics => "statistics".to_owned(),
                FrontEnd::Bands(bands) => format!("{bands} bands"),
                FrontEnd::Mel { bands, frames, rate } => {
                    format!("{bands} mel bands in each of {frames} frame(s), at {rate} samples a second")
                }
            },
            sensor.map_or("any".to_owned(), |(low, high)| format!("{} to {}", number(low.into()), number(high.into()))),
        ]);
        feature += if model.has_front_end() { front_end.features(model.window()) } else { 1 };
    }
    let head = ["column", "least", "largest", "mean", "scale", "the model sees its", "sensor's range"];
    let caption = "Columns in normal rows; mean and scale are those of the first value that the model sees of a column";
    Ok(Table::new(caption, &head, rows))
}

fn layers(model: &vae_core::Model<'_>) -> Result<Table> {
    let encoder = model.header()?.encoder_layers as usize;
    let mut rows = Vec::new();
    for (index, layer) in model.layers()?.enumerate() {
        let layer = layer?;
        let half = if index < encoder { "encoder" } else { "decoder" };
        rows.push(vec![
            half.to_owned(),
            layer.columns.to_string(),
            layer.rows.to_string(),
            format!("{:?}", layer.activation),
        ]);
    }
    Ok(Table::new("Layers", &["half", "inputs", "outputs", "activation"], rows))
}

/// Every setting of the fit, as `config.toml` has them.
fn settings(config: &Config) -> Result<Table> {
    let settings = toml::Table::try_from(config).context("the settings cannot be written as TOML")?;
    let rows = settings.iter().flat_map(|(section, values)| {
        let values = values.as_table().into_iter().flatten();
        values.map(|(name, value)| vec![section.clone(), name.clone(), value.to_string()])
    });
    Ok(Table::new("Settings of the fit", &["section", "setting", "value"], rows))
}

/// How the fit went.
pub(super) fn curves(material: &Material<'_>) -> Markup {
    let divergences = &material.state.checkpoint.divergences;
    html! {
        @if !divergences.is_empty() {
            p { "Taken back and tried again at half the learning rate:" }
            ul { @for divergence in divergences { li { (divergence) } } }
        }
        @if let Some(curves) = Curves::of(material) {
            div class="figures" { (curves.elbo()) (curves.reconstruction()) (curves.kl(material)) }
        }
    }
}

/// What the epochs gave.
struct Curves<'a> {
    metrics: &'a [EpochMetrics],
    /// Those whose values lie on the axes.
    settled: &'a [EpochMetrics],
    /// Of the epoch whose weights are used.
    best: &'a EpochMetrics,
}

impl<'a> Curves<'a> {
    /// None before an epoch has been finished.
    fn of(material: &'a Material<'_>) -> Option<Self> {
        let checkpoint = &material.state.checkpoint;
        let metrics = &checkpoint.metrics[..];
        let best = metrics.iter().find(|metrics| metrics.epoch == checkpoint.best_epoch)?;
        let settled = &metrics[(metrics.len() / CUT_OFF).min(metrics.len().saturating_sub(2))..];
        Some(Self { metrics, settled, best })
    }

    /// An empty chart over the epochs.
    fn chart(&self, values: impl Iterator<Item = f64>) -> Chart {
        let epochs = self.metrics.len();
        let x = Axis::new("epoch", if epochs > 1 { 1.0 } else { 0.0 }, epochs.max(2) as f64);
        let mut chart = Chart::new(x, Axis::over("nats a window", values));
        chart.rule(self.best.epoch as f64, &format!("epoch {} is used", self.best.epoch));
        chart
    }

    /// A quantity epoch by epoch.
    fn draw(&self, chart: &mut Chart, look: Look, name: &str, of: fn(&EpochMetrics) -> f64) {
        let mark = |metrics: &EpochMetrics| {
            let tip = format!("epoch {}: {name} {} nats", metrics.epoch, fixed(of(metrics), 3));
            Mark { x: metrics.epoch as f64, y: of(metrics), tip }
        };
        let marks: Vec<Mark> = self.metrics.iter().map(mark).collect();
        chart.line(look, marks.iter().map(|mark| (mark.x, mark.y)));
        chart.targets(look, &marks);
    }

    fn table(&self) -> Table {
        let rows = self.metrics.iter().map(|m| {
            let figures = [m.elbo, m.validation_elbo, m.reconstruction, m.kl].map(|value| fixed(value, 3));
            std::iter::once(m.epoch.to_string()).chain(figures).collect()
        });
        Table::new("By epoch, in nats", &["epoch", "training ELBO", "held-out ELBO", "reconstruction", "KL"], rows)
    }

    fn elbo(&self) -> Markup {
        let mut chart = self.chart(self.settled.iter().flat_map(|m| [m.elbo, m.validation_elbo]));
        self.draw(&mut chart, Look::Two, "training ELBO", |m| m.elbo);
        self.draw(&mut chart, Look::One, "held-out ELBO", |m| m.validation_elbo);
        let EpochMetrics { epoch, validation_elbo, elbo, .. } = self.best;
        let figure = Figure {
            id: "elbo",
            title: "How well windows are explained".to_owned(),
            reading: "Both lines should rise and level out together; a held-out line that falls again has learned its training data by \
                      heart.",
            shows: format!(
                "{} epochs. Epoch {epoch} has the best held-out ELBO, {} nats a window in standardised units; the training windows then \
                 had {}.{}",
                self.metrics.len(),
                fixed(*validation_elbo, 3),
                fixed(*elbo, 3),
                if self.metrics.len() > CUT_OFF { " The first epochs may lie below the axis." } else { "" }
            ),
            legend: vec![(Look::One, "held-out windows".to_owned()), (Look::Two, "training windows".to_owned())],
            table: self.table(),
        };
        figure.around(|id, text| chart.draw(id, text))
    }

    fn reconstruction(&self) -> Markup {
        let mut chart = self.chart(self.settled.iter().map(|m| m.reconstruction));
        self.draw(&mut chart, Look::One, "reconstruction term", |m| m.reconstruction);
        let figure = Figure {
            id: "reconstruction",
            title: "Reconstruction term".to_owned(),
            reading: "Higher means that windows come back from the latent numbers more exactly.",
            shows: format!(
                "{} nats a training window at epoch {}.",
                fixed(self.best.reconstruction, 3),
                self.best.epoch
            ),
            legend: Vec::new(),
            table: self.table(),
        };
        figure.around(|id, text| chart.draw(id, text))
    }

    fn kl(&self, material: &Material<'_>) -> Markup {
        let mut chart = self.chart(self.settled.iter().map(|m| m.kl).chain([0.0]));
        self.draw(&mut chart, Look::Three, "KL", |m| m.kl);
        let units = material.fit.as_ref().and_then(|fit| fit.active_units);
        let units = units.map_or(String::new(), |units| {
            format!(" {units} of {} latent dimensions are in use.", material.model.latent())
        });
        let figure = Figure {
            id: "kl",
            title: "What the latent numbers tell (KL)".to_owned(),
            reading: "A line at 0 means that the latent numbers are not used; the ELBO is the reconstruction term less this.",
            shows: format!("{} nats a training window at epoch {}.{units}", fixed(self.best.kl, 3), self.best.epoch),
            legend: Vec::new(),
            table: self.table(),
        };
        figure.around(|id, text| chart.draw(id, text))
    }
}
