//! A device that another process serves, as the process that fits sees it.

use std::{fmt, ops::Range, sync::Arc};

use anyhow::{Context, Result, anyhow, bail};
use burn::{
    backend::{
        DispatchDevice, Remote as RemoteBackend, RemoteDevice, StreamId,
        ir::{CustomOpIr, TensorIr},
    },
    remote::{ConnectError, CustomOpClient, RemoteHost},
    tensor::{DType, Device, Shape, Tensor, TensorData},
};

use crate::{
    cpu::tensor::read,
    model::{network::Vae, objective::Objective},
    training::{
        devices::member::{Elsewhere, Member},
        remote::{
            message::{Answer, GRADIENT, HELLO, HELLO_WORDS, Hello, Request, from_words, head_words, to_words},
            parameters,
        },
        step::{Gradient, HostBatch},
    },
};

/// Bytes of windows that are sent at once: few enough that what waits to be sent needs little memory.
const UPLOADED_AT_ONCE: usize = 8 << 20;

/// A device that another process serves.
#[derive(Clone)]
pub struct Remote {
    device: Device,
    remote: RemoteDevice,
    /// One for all threads: burn's servers keep something of each.
    stream: StreamId,
    windows: Option<Arc<Windows>>,
}

/// Windows that the server has.
struct Windows {
    /// One behind the other, all but the last with `rows` windows.
    parts: Vec<Tensor<1>>,
    rows: usize,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Remote {
    /// Connects, and makes sure that the server is a `vae-train serve` of this version.
    ///
    /// # Errors
    /// If it is not, does not answer, or refuses the token: says what to do.
    pub fn connect(host: &RemoteHost) -> Result<Self> {
        let device = Device::remote_options(host).init().map_err(advised)?;
        let DispatchDevice::Remote(remote) = device.as_dispatch().clone() else {
            bail!("burn gave another device than was asked for: {device:?}");
        };
        let remote = Self { device, remote, stream: StreamId::current(), windows: None };
        let hello = remote.run(HELLO, Vec::new(), HELLO_WORDS);
        let hello: Hello = hello.and_then(|words| from_words(&words)).map_err(|error| {
            anyhow!("it does not know vae-train's operations ({error}): start `vae-train serve` of this version there")
        })?;
        hello.check()?;
        Ok(remote)
    }

    /// As one of a list of devices; `name` is what it is called where it fails.
    #[must_use]
    pub fn member(self, name: &str) -> Member {
        Member::elsewhere(name, Arc::new(self))
    }

    fn tensor(&self, values: Vec<f32>) -> Tensor<1> {
        let shape = [values.len()];
        self.stream.executes(|| Tensor::from_data(TensorData::new(values, shape), &self.device))
    }

    /// Has the server run an operation of ours, and waits for its output, so many numbers.
    fn run(&self, operation: &'static str, inputs: Vec<Tensor<1>>, numbers: usize) -> Result<Vec<f32>> {
        let on_server = |tensor: Tensor<1>| {
            let tensor = tensor.try_into_primitive::<RemoteBackend>();
            tensor.map(|tensor| tensor.into_ir()).map_err(|error| anyhow!("a tensor is on another device: {error:?}"))
        };
        let words = self.stream.executes(|| {
            let inputs: Vec<TensorIr> = inputs.into_iter().map(on_server).collect::<Result<_>>()?;
            let client = CustomOpClient::new(&self.remote);
            let output = TensorIr::uninit(client.create_empty_handle(), Shape::new([numbers]), DType::F32);
            let output = client.register(CustomOpIr::new(operation, &inputs, &[output])).pop();
            let output = output.context("burn gave no output")?;
            // burn says no more than that nothing comes.
            read(Tensor::<1>::from_primitive::<RemoteBackend>(output))
                .map_err(|_| anyhow!("its session has ended; what it printed says why, if it did not die"))
        })?;
        if words.len() == numbers { Ok(words) } else { bail!("{} numbers for {numbers}", words.len()) }
    }
}

impl Elsewhere for Remote {
    fn with_windows(&self, values: &[f32], inputs: usize) -> Arc<dyn Elsewhere> {
        let rows = (UPLOADED_AT_ONCE / size_of::<f32>() / inputs).max(1);
        let parts = values.chunks(rows * inputs).map(|part| self.tensor(part.to_vec())).collect();
        Arc::new(Self { windows: Some(Arc::new(Windows { parts, rows })), ..self.clone() })
    }

    fn gradient(
        &self,
        objective: &Objective,
        network: &Vae,
        batch: HostBatch<'_>,
        indices: Option<&[usize]>,
        share: Range<usize>,
        main: &Device,
    ) -> Result<Gradient> {
        let architecture = network.architecture();
        let (weights, tensors) = parameters::weights(network)?;
        let count = weights.len();
        let noise = batch.noise_of(&share, architecture.latent);
        let blur = batch.blur_of(&share, architecture.features).to_vec();
        let (known, rows, windows) = match (indices, &self.windows) {
            (Some(indices), Some(windows)) => {
                let known = indices[share].iter().map(|index| u32::try_from(*index)).collect::<Result<_, _>>();
                (
                    Some(known.context("a table of more windows than can be numbered")?),
                    windows.rows,
                    windows.parts.clone(),
                )
            }
            _ => (None, share.len(), vec![self.tensor(batch.rows[share].concat())]),
        };
        let (objective, architecture) = (*objective, architecture.clone());
        let is_blurred = !blur.is_empty();
        let request = to_words(&Request { objective, architecture, of: batch.of, is_blurred, known, rows })?;
        let mut inputs: Vec<Tensor<1>> = [request, weights, noise].map(|values| self.tensor(values)).into();
        inputs.extend(is_blurred.then(|| self.tensor(blur)));
        inputs.extend(windows);

        let head = head_words(tensors);
        let words = self.run(GRADIENT, inputs, head + count)?;
        let (sums, present) = from_words::<Answer>(&words[..head])?.map_err(|reason| anyhow!("it says: {reason}"))?;
        let gradients = parameters::gradients(network, &words[head..], &present, main)?;
        Ok(Gradient { gradients, sums })
    }
}

/// What went wrong while connecting, and what to do.
fn advised(error: ConnectError) -> anyhow::Error {
    let advice = match &error {
        ConnectError::Unauthorized => "give the file that the server was started with as --token",
        ConnectError::IncompatibleProtocol { .. } => "install the same version of vae-train on both machines",
        ConnectError::Handshake { .. } => "see that it is a `vae-train serve` of this version that answers there",
        _ => "start one with `vae-train serve`, and see that its port can be reached",
    };
    anyhow!("{error}: {advice}")
}
