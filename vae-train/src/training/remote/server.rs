//! A device of this process, as a server lends it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use burn::{
    backend::{DispatchDevice, DispatchKindConversion, DispatchTensor, Flex, flex::FlexTensor, ir::BackendIr},
    server::{CustomOpIr, HandleContainer, RemoteServer},
    tensor::{Device, Int, Tensor, TensorData},
};

use crate::{
    cpu::tensor::{OnCpu, on_cpu, read},
    model::{baseline::Baseline, network::Vae},
    training::{
        remote::{
            message::{
                Answer, GRADIENT, HELLO, HELLO_WORDS, Hello, Request, from_words, head_words, reason, to_padded,
            },
            parameters,
        },
        step::{self, Gradient, HostBatch},
    },
};

/// A server with the operations of a fit, which it runs on this device, one of those that it was made with.
///
/// # Errors
/// If it is a device that cannot be lent.
pub fn with_operations(server: RemoteServer, device: &Device) -> Result<RemoteServer> {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => Ok(registered::<Flex>(server, device)),
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        DispatchDevice::Cube(_) => Ok(registered::<burn::backend::Cube>(server, device)),
        _ => bail!("{device:?} cannot be lent: give flex, wgpu or cuda"),
    }
}

fn registered<B: BackendIr>(server: RemoteServer, device: &Device) -> RemoteServer
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let lent = Arc::new(Lent { device: device.clone().autodiff(), network: Mutex::new(None) });
    server
        .with_custom_op::<B, _>(HELLO, |handles, operation, device| {
            // Fits its words: a test reads it back.
            let words = to_padded(&Hello::ours(), HELLO_WORDS).unwrap_or_default();
            output::<B>(handles, operation, words, device);
        })
        .with_custom_op::<B, _>(GRADIENT, move |handles, operation, device| {
            let inputs = operation.inputs.iter().map(|input| handles.get_float_tensor::<B>(input));
            let inputs: Vec<Tensor<1>> = inputs.map(Tensor::from_primitive::<B>).collect();
            let numbers = operation.outputs.first().map_or(0, |output| output.shape.num_elements());
            output::<B>(handles, operation, lent.answer(inputs, numbers), device);
        })
}

fn output<B: BackendIr>(
    handles: &mut HandleContainer<B::Handle>,
    operation: &CustomOpIr,
    mut words: Vec<f32>,
    device: &B::Device,
) {
    if let Some(output) = operation.outputs.first() {
        words.resize(output.shape.num_elements(), 0.0);
        let shape = [words.len()];
        handles.register_float_tensor::<B>(&output.id, B::float_from_data(TensorData::new(words, shape), device));
    }
}

/// The device, and the network that was asked for last, for its sizes alone.
struct Lent {
    device: Device,
    network: Mutex<Option<Vae>>,
}

impl Lent {
    /// The words of an [`Answer`], and the gradients behind them; fewer than `numbers` where there are none.
    fn answer(&self, inputs: Vec<Tensor<1>>, numbers: usize) -> Vec<f32> {
        let computed = self.gradient(inputs).and_then(|(network, found)| {
            let (gradients, present) = parameters::flat(&network, &found.gradients)?;
            let head = head_words(present.len());
            ensure!(head + gradients.len() == numbers, "{numbers} numbers are expected of another network");
            let answer: Answer = Ok((found.sums, present));
            let mut words = to_padded(&answer, head)?;
            words.extend(gradients);
            Ok(words)
        });
        computed.unwrap_or_else(|error| {
            let refusal: Answer = Err(reason(&error));
            to_padded(&refusal, head_words(1)).unwrap_or_default()
        })
    }

    fn gradient(&self, inputs: Vec<Tensor<1>>) -> Result<(Vae, Gradient)> {
        let mut inputs = inputs.into_iter();
        let mut next = || inputs.next().context("an operation with too few inputs").and_then(read);
        let request: Request = from_words(&next()?)?;
        let (weights, noise) = (next()?, next()?);
        let blur = if request.is_blurred { next()? } else { Vec::new() };
        let network = parameters::with_weights(self.network(&request), &weights)?;
        let windows = Windows::of(inputs.collect(), &request)?;
        let rows = windows.rows(&request)?;
        let architecture = network.architecture();
        let (count, draws) = (rows.len(), request.objective.draws(architecture));
        ensure!(
            count > 0
                && count <= request.of
                && noise.len() == count * draws * architecture.latent
                && (blur.is_empty() || blur.len() == count * architecture.features),
            "{} numbers of noise and {} of blur for {count} of {} windows",
            noise.len(),
            blur.len(),
            request.of
        );
        let batch = HostBatch { rows: &rows, noise: &noise, blur: &blur, of: request.of };
        let found = step::gradient(&request.objective, &network, batch, 0..count, &self.device)?;
        Ok((network, found))
    }

    /// A network of these sizes, with any weights.
    fn network(&self, request: &Request) -> Vae {
        let with_baseline = request.objective.has_learned_baseline();
        let mut last = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && *last.architecture() == request.architecture
            && last.baseline.is_some() == with_baseline
        {
            return last.clone();
        }
        let mut network = Vae::init(&request.architecture, 0, &self.device);
        if with_baseline {
            network = network.with_baseline(Baseline::init(&request.architecture, 0, &self.device));
        }
        last.insert(network).clone()
    }
}

/// The windows of an operation, on the host.
enum Windows {
    /// Where the CPU's tensors are, all but the last with as many windows as the request says.
    InPlace(Vec<FlexTensor>),
    /// The share's, read from another device.
    Read(Vec<f32>),
}

impl Windows {
    fn of(parts: Vec<Tensor<1>>, request: &Request) -> Result<Self> {
        ensure!(!parts.is_empty() && request.rows > 0, "an operation without windows");
        let on_host = |part: Tensor<1>| match on_cpu(part) {
            Ok(OnCpu::Plain(part)) => Ok(part.to_contiguous()),
            Ok(OnCpu::Differentiable(part)) => Ok(part.into_primitive().to_contiguous()),
            Err(part) => Err(part),
        };
        if parts[0].device() == Device::flex() {
            let parts: Result<_, _> = parts.into_iter().map(on_host).collect();
            return parts.map(Self::InPlace).map_err(|part| anyhow::anyhow!("windows on {:?}", part.device()));
        }
        let inputs = request.architecture.inputs();
        let Some(known) = &request.known else { return Ok(Self::Read(read(parts[0].clone())?)) };
        // Each part gives its rows at once; then they are put in the request's order.
        let mut windows = vec![0.0; known.len() * inputs];
        for (index, part) in parts.into_iter().enumerate() {
            let of_part = |row: &u32| *row as usize / request.rows == index;
            let at: Vec<usize> = (0..known.len()).filter(|position| of_part(&known[*position])).collect();
            if at.is_empty() {
                continue;
            }
            let rows: Vec<i32> = at.iter().map(|position| (known[*position] as usize % request.rows) as i32).collect();
            let (device, of_rows, held) = (part.device(), [rows.len()], part.dims()[0] / inputs);
            let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, of_rows), &device);
            let found = read(part.reshape([held, inputs]).select(0, rows))?;
            for (window, position) in found.chunks_exact(inputs).zip(at) {
                windows[position * inputs..][..inputs].copy_from_slice(window);
            }
        }
        Ok(Self::Read(windows))
    }

    /// The share's windows, in their order.
    fn rows(&self, request: &Request) -> Result<Vec<&[f32]>> {
        let inputs = request.architecture.inputs();
        match (self, &request.known) {
            (Self::Read(windows), _) => Ok(windows.chunks_exact(inputs).collect()),
            (Self::InPlace(parts), None) => Ok(parts[0].storage::<f32>().chunks_exact(inputs).collect()),
            (Self::InPlace(parts), Some(known)) => {
                let parts: Vec<&[f32]> = parts.iter().map(|part| part.storage::<f32>()).collect();
                let window = |row: &u32| {
                    let (part, row) = (*row as usize / request.rows, *row as usize % request.rows);
                    let part = parts.get(part).and_then(|part| part.get(row * inputs..(row + 1) * inputs));
                    part.context("a window that was not uploaded")
                };
                known.iter().map(window).collect()
            }
        }
    }
}
