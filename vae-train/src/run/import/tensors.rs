//! Layers from the tensors of a safetensors file.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors};
use vae_core::Activation;

use crate::{
    run::import::mapping::{Layer, Linear, Norm},
    weights::dense::Dense,
    words::messages::list,
};

/// Weights and biases in `f64`, so that what is folded into them is rounded once.
#[derive(Clone)]
pub(super) struct Affine {
    /// Row after row.
    pub(super) weights: Vec<f64>,
    pub(super) bias: Vec<f64>,
    pub(super) columns: usize,
}

impl Affine {
    /// Each output times its factor, plus its term.
    pub(super) fn then(&mut self, factors: &[f64], terms: &[f64]) {
        let rows = self.weights.chunks_mut(self.columns).zip(&mut self.bias).zip(factors.iter().zip(terms));
        for ((row, bias), (factor, term)) in rows {
            row.iter_mut().for_each(|weight| *weight *= factor);
            *bias = *bias * factor + term;
        }
    }

    /// This layer's outputs, then the others'.
    pub(super) fn stack(mut self, other: Self) -> Self {
        self.weights.extend(other.weights);
        self.bias.extend(other.bias);
        self
    }

    /// The layer whose outputs are these, in this order.
    pub(super) fn rows(&self, order: impl Iterator<Item = usize>) -> Self {
        let (weights, bias) = order
            .map(|row| (&self.weights[row * self.columns..][..self.columns], self.bias[row]))
            .unzip::<_, _, Vec<_>, _>();
        Self { weights: weights.concat(), bias, columns: self.columns }
    }

    pub(super) fn dense(self, activation: Activation) -> Dense {
        let to_f32 = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
        let (weights, bias) = (to_f32(&self.weights), to_f32(&self.bias));
        Dense { activation, rows: self.bias.len(), columns: self.columns, weights, bias }
    }
}

/// The tensors of a safetensors file, and those that were asked for.
pub(super) struct Tensors<'a> {
    pub(super) path: PathBuf,
    pub(super) file: SafeTensors<'a>,
    pub(super) used: BTreeSet<String>,
    pub(super) transposed: bool,
}

impl Tensors<'_> {
    /// Shape and values of a tensor.
    pub(super) fn read(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let path = self.path.display();
        let Ok(tensor) = self.file.tensor(name) else {
            let mut names: Vec<&str> = self.file.names();
            names.sort_unstable();
            bail!("{path} has no tensor `{name}`: it has {}", list(&names));
        };
        let data = tensor.data();
        let values: Vec<f64> = match tensor.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
            Dtype::F64 => data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
            other => bail!("{path}: tensor `{name}` is {other:?}: save it as F32 (in PyTorch, tensor.float())"),
        };
        if let Some(index) = values.iter().position(|value| !(*value as f32).is_finite()) {
            bail!(
                "{path}: tensor `{name}` holds {} at position {index}: weights are finite 32-bit numbers",
                values[index]
            );
        }
        self.used.insert(name.to_owned());
        Ok((tensor.shape().to_vec(), values))
    }

    /// A vector of so many values, whatever its shape is.
    pub(super) fn vector(&mut self, name: &str, expected: usize, of: &str) -> Result<Vec<f64>> {
        let (shape, values) = self.read(name)?;
        ensure!(
            values.len() == expected,
            "{}: tensor `{name}` has shape {shape:?} where {expected} values are expected, one for each {of}",
            self.path.display()
        );
        Ok(values)
    }

    /// A layer, whose inputs are `inputs` where that is known, and outputs `outputs`.
    pub(super) fn linear(&mut self, linear: &Linear, inputs: Option<usize>, outputs: Option<usize>) -> Result<Affine> {
        let Linear { weight, bias } = linear;
        let (shape, mut weights) = self.read(weight)?;
        let convention = if self.transposed { "[inputs, outputs]" } else { "[outputs, inputs]" };
        let size = |size: Option<usize>| size.map_or("any".to_owned(), |size| size.to_string());
        let expected = if self.transposed { [inputs, outputs] } else { [outputs, inputs] };
        let fits = |shape: &[usize], expected: [Option<usize>; 2]| {
            shape.len() == 2
                && shape.iter().zip(expected).all(|(size, known)| *size > 0 && known.is_none_or(|known| *size == known))
        };
        if !fits(&shape, expected) {
            let hint = match (fits(&shape, [expected[1], expected[0]]), self.transposed) {
                (true, false) => "; if weights are [inputs, outputs], as Keras has them, say `transposed = true`",
                (true, true) => "; if weights are [outputs, inputs], as PyTorch has them, leave out `transposed`",
                (false, _) => "",
            };
            bail!(
                "{}: tensor `{weight}` has shape {shape:?} where [{}, {}] is expected, {convention}{hint}",
                self.path.display(),
                size(expected[0]),
                size(expected[1])
            );
        }
        let (rows, columns) = if self.transposed { (shape[1], shape[0]) } else { (shape[0], shape[1]) };
        if self.transposed {
            weights = (0..rows).flat_map(|row| weights[row..].iter().step_by(rows)).copied().collect();
        }
        let bias = match bias {
            Some(bias) => {
                let way = if self.transposed { "with" } else { "without" };
                self.vector(bias, rows, &format!("output of `{weight}`, {shape:?} {way} `transposed = true`"))?
            }
            None => vec![0.0; rows],
        };
        Ok(Affine { weights, bias, columns })
    }

    /// Folds a normalisation into the layer before it, whose weights are called `of`.
    fn normalise(&mut self, layer: &mut Affine, norm: &Norm, of: &str) -> Result<()> {
        let Norm { weight, bias, mean, variance, epsilon } = norm;
        let rows = layer.bias.len();
        let mut vector = |name: &String| self.vector(name, rows, &format!("output of `{of}`"));
        let gain = weight.as_ref().map_or(Ok(vec![1.0; rows]), &mut vector)?;
        let offset = bias.as_ref().map_or(Ok(vec![0.0; rows]), &mut vector)?;
        let (mean, variance) = (vector(mean)?, vector(variance)?);
        let factors: Vec<f64> = gain.iter().zip(&variance).map(|(gain, v)| gain / (v + epsilon).sqrt()).collect();
        ensure!(
            factors.iter().all(|factor| factor.is_finite()),
            "the normalisation behind `{of}` has a variance that is not positive"
        );
        let terms = offset.iter().zip(factors.iter().zip(&mean)).map(|(offset, (factor, mean))| offset - factor * mean);
        layer.then(&factors, &terms.collect::<Vec<_>>());
        Ok(())
    }

    /// Hidden layers with their activations, of which the first has so many inputs where that is known.
    pub(super) fn hidden(&mut self, layers: &[Layer], mut inputs: Option<usize>) -> Result<Vec<(Affine, Activation)>> {
        let mut found = Vec::new();
        for Layer { weight, bias, norm, activation, slope } in layers {
            let mut affine = self.linear(&Linear { weight: weight.clone(), bias: bias.clone() }, inputs, None)?;
            let rows = affine.bias.len();
            if let Some(norm) = norm {
                self.normalise(&mut affine, norm, weight)?;
            }
            let activation = match (activation.core(), slope) {
                (Activation::LeakyRelu(_), Some(slope)) => Activation::LeakyRelu(*slope),
                (_, Some(_)) => bail!("`slope` behind `{weight}` is for the activation leaky-relu"),
                (activation, None) => activation,
            };
            inputs = Some(rows);
            found.push((affine, activation));
        }
        Ok(found)
    }

    /// The two halves of a layer whose outputs come in pairs: means, then spreads.
    pub(super) fn halves(
        &mut self,
        linear: &Linear,
        inputs: Option<usize>,
        outputs: Option<usize>,
    ) -> Result<(Affine, Affine)> {
        let both = self.linear(linear, inputs, outputs.map(|outputs| 2 * outputs))?;
        let rows = both.bias.len();
        ensure!(
            rows.is_multiple_of(2),
            "{}: tensor `{}` has {rows} outputs, which are no pairs of a mean and a spread",
            self.path.display(),
            linear.weight
        );
        Ok((both.rows(0..rows / 2), both.rows(rows / 2..rows)))
    }
}

impl<'a> Tensors<'a> {
    /// The tensors of a file's bytes.
    ///
    /// # Errors
    /// If they are of another format, or damaged.
    pub(super) fn of(path: &Path, bytes: &'a [u8], transposed: bool) -> Result<Self> {
        let other = match bytes {
            [b'P', b'K', 3, 4, ..] => Some("a zip archive, as PyTorch's or Keras' own files are"),
            [0x89, b'H', b'D', b'F', ..] => Some("HDF5, as Keras' .h5 files are"),
            _ => None,
        };
        if let Some(other) = other {
            bail!("{} is {other}, not safetensors: convert it as docs/import.md shows", path.display());
        }
        let file = SafeTensors::deserialize(bytes).with_context(|| {
            format!("{} cannot be read as safetensors (docs/import.md shows how to write it)", path.display())
        })?;
        Ok(Self { path: path.to_owned(), file, used: BTreeSet::new(), transposed })
    }

    /// The names of those that were not asked for.
    pub(super) fn unused(&self) -> Vec<String> {
        self.file.names().into_iter().filter(|name| !self.used.contains(*name)).map(str::to_owned).collect()
    }
}
