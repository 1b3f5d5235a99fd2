//! Accelerometers on I2C that queue their samples.
//!
//! The sensor's own clock takes the samples and its queue holds them, so that their spacing does not depend on what the
//! program does meanwhile: a window that is unevenly sampled looks like no motor.

use embedded_hal_async::i2c::I2c;

use crate::Error;

/// What a model of sensor needs to be told, and where it keeps its samples: all that another one needs here.
#[derive(Clone, Copy, Debug)]
pub struct Sensor {
    /// Address on the bus.
    pub address: u8,
    /// Samples per second.
    pub rate: f32,
    /// A register that identifies it, and what that holds.
    pub identity: (u8, u8),
    /// Registers and what to write into them, in order.
    pub setup: &'static [(u8, u8)],
    /// The register with the number of queued samples, and the bits of it.
    pub queued: (u8, u8),
    /// The number at which the queue is full, and samples may have been lost.
    pub full: u8,
    /// What to ask for to read a sample: x, y and z as 16 bits each, the low byte first.
    pub sample: u8,
    /// g per count.
    pub scale: f32,
}

/// ST's LIS2DW12 at ±8 g and 1600 Hz, at the address it has with SA0 open or high.
pub const LIS2DW12: Sensor = Sensor {
    address: 0x19,
    rate: 1600.0,
    identity: (0x0F, 0x44),
    // CTRL2: whole samples, addresses count up; CTRL6: ±8 g, low noise; FIFO_CTRL: bypass, which empties it, then continuous;
    // CTRL1: 1600 Hz, high performance.
    setup: &[(0x21, 0x0C), (0x25, 0x24), (0x2E, 0x00), (0x2E, 0xC0), (0x20, 0x94)],
    queued: (0x2F, 0x3F),
    full: 32,
    sample: 0x28,
    scale: 8.0 / 32768.0,
};

/// ST's LIS3DH at ±8 g and 1344 Hz, at the address it has with SA0 low.
pub const LIS3DH: Sensor = Sensor {
    address: 0x18,
    rate: 1344.0,
    identity: (0x0F, 0x33),
    // CTRL_REG4: whole samples, ±8 g, 12 bits; CTRL_REG5: with a queue; FIFO_CTRL_REG: bypass, then stream; CTRL_REG1: 1344 Hz,
    // three axes.
    setup: &[(0x23, 0xA8), (0x24, 0x40), (0x2E, 0x00), (0x2E, 0x80), (0x20, 0x97)],
    queued: (0x2F, 0x1F),
    full: 31,
    sample: 0x80 | 0x28, // the high bit makes addresses count up
    scale: 8.0 / 32768.0,
};

/// Analog Devices' ADXL345 at ±16 g and 800 Hz, the most that its data sheet allows on I2C, at the address it has with SDO
/// low.
pub const ADXL345: Sensor = Sensor {
    address: 0x53,
    rate: 800.0,
    identity: (0x00, 0xE5),
    // DATA_FORMAT: ±16 g at full resolution; BW_RATE: 800 Hz; FIFO_CTL: bypass, then stream; POWER_CTL: measure.
    setup: &[(0x31, 0x0B), (0x2C, 0x0D), (0x38, 0x00), (0x38, 0x80), (0x2D, 0x08)],
    queued: (0x39, 0x3F),
    full: 32,
    sample: 0x32,
    scale: 1.0 / 256.0,
};

/// Samples in a sensor's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Waiting {
    /// How many can be read.
    pub samples: u8,
    /// Whether the queue is full: samples between these and those that were read before may be missing.
    pub lost: bool,
}

/// A sensor that is running.
#[derive(Debug)]
pub struct Accelerometer<B> {
    bus: B,
    sensor: &'static Sensor,
}

impl<B: I2c> Accelerometer<B> {
    /// Makes sure that `sensor` is there and sets it going.
    ///
    /// # Errors
    /// [`Error::Bus`] or [`Error::WrongSensor`].
    pub async fn start(bus: B, sensor: &'static Sensor) -> Result<Self, Error<B::Error>> {
        let mut this = Self { bus, sensor };
        let (register, expected) = sensor.identity;
        let [found] = this.registers(register).await?;
        if found != expected {
            return Err(Error::WrongSensor { expected, found });
        }
        for (register, value) in sensor.setup {
            this.bus.write(sensor.address, &[*register, *value]).await.map_err(Error::Bus)?;
        }
        Ok(this)
    }

    /// How many samples can be read.
    ///
    /// # Errors
    /// [`Error::Bus`].
    pub async fn waiting(&mut self) -> Result<Waiting, Error<B::Error>> {
        let (register, bits) = self.sensor.queued;
        let [value] = self.registers(register).await?;
        let samples = value & bits;
        Ok(Waiting { samples, lost: samples >= self.sensor.full })
    }

    /// The oldest sample in the queue: x, y and z in g.
    ///
    /// # Errors
    /// [`Error::Bus`].
    pub async fn read(&mut self) -> Result<[f32; 3], Error<B::Error>> {
        let [x0, x1, y0, y1, z0, z1] = self.registers(self.sensor.sample).await?;
        Ok([[x0, x1], [y0, y1], [z0, z1]].map(|bytes| f32::from(i16::from_le_bytes(bytes)) * self.sensor.scale))
    }

    async fn registers<const N: usize>(&mut self, first: u8) -> Result<[u8; N], Error<B::Error>> {
        let mut values = [0; N];
        self.bus.write_read(self.sensor.address, &[first], &mut values).await.map_err(Error::Bus)?;
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use core::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use embedded_hal_async::i2c::{ErrorKind, ErrorType, Operation};

    use super::*;

    /// A sensor's registers, and the samples of its queue behind them.
    struct Fake {
        sensor: &'static Sensor,
        registers: [u8; 256],
        samples: &'static [[u8; 6]],
    }

    impl Fake {
        fn new(sensor: &'static Sensor, samples: &'static [[u8; 6]]) -> Self {
            let mut registers = [0; 256];
            registers[usize::from(sensor.identity.0)] = sensor.identity.1;
            Self { sensor, registers, samples }
        }
    }

    impl ErrorType for Fake {
        type Error = ErrorKind;
    }

    impl I2c for Fake {
        async fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
            if address != self.sensor.address {
                return Err(ErrorKind::Other);
            }
            match operations {
                [Operation::Write([register, value])] => self.registers[usize::from(*register)] = *value,
                [Operation::Write([register]), Operation::Read(read)] if *register == self.sensor.sample => {
                    let (first, rest) = self.samples.split_first().unwrap();
                    self.samples = rest;
                    read.copy_from_slice(first);
                }
                [Operation::Write([register]), Operation::Read(read)] if *register == self.sensor.queued.0 => {
                    // The bits beside the number are flags.
                    read[0] = self.samples.len() as u8 & self.sensor.queued.1 | !self.sensor.queued.1;
                }
                [Operation::Write([register]), Operation::Read(read)] => {
                    let first = usize::from(*register);
                    read.copy_from_slice(&self.registers[first..first + read.len()]);
                }
                _ => return Err(ErrorKind::Other),
            }
            Ok(())
        }
    }

    /// What a future that never waits gives.
    fn now<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn samples_come_in_g_and_in_order() {
        for sensor in [&LIS2DW12, &LIS3DH, &ADXL345] {
            let samples = &[[0, 0x10, 0, 0xF0, 0, 0], [1, 0, 2, 0, 0xFF, 0xFF]];
            let mut accelerometer = now(Accelerometer::start(Fake::new(sensor, samples), sensor)).unwrap();
            for (register, value) in sensor.setup {
                // The last of what is written to the same register.
                let last = sensor.setup.iter().rev().find(|(other, _)| other == register).unwrap();
                assert_eq!(accelerometer.bus.registers[usize::from(*register)], last.1, "{value}");
            }
            assert_eq!(now(accelerometer.waiting()), Ok(Waiting { samples: 2, lost: false }));
            let scale = sensor.scale;
            assert_eq!(now(accelerometer.read()), Ok([4096.0 * scale, -4096.0 * scale, 0.0]));
            assert_eq!(now(accelerometer.read()), Ok([scale, 2.0 * scale, -scale]));
            assert_eq!(now(accelerometer.waiting()), Ok(Waiting { samples: 0, lost: false }));
        }
    }

    #[test]
    fn a_full_queue_is_noticed() {
        for sensor in [&LIS2DW12, &LIS3DH, &ADXL345] {
            let mut accelerometer = now(Accelerometer::start(Fake::new(sensor, &[]), sensor)).unwrap();
            accelerometer.bus.samples = &[[0; 6]; 30];
            assert!(!now(accelerometer.waiting()).unwrap().lost);
            accelerometer.bus.samples = &[[0; 6]; 32];
            accelerometer.bus.samples = &accelerometer.bus.samples[..usize::from(sensor.full)];
            assert!(now(accelerometer.waiting()).unwrap().lost);
        }
    }

    #[test]
    fn an_absent_and_a_wrong_sensor_are_told_apart() {
        let started = now(Accelerometer::start(Fake::new(&ADXL345, &[]), &LIS3DH)).map(|_| ());
        assert_eq!(started, Err(Error::Bus(ErrorKind::Other)));
        let mut other = Fake::new(&LIS3DH, &[]);
        other.registers[0x0F] = 0x32;
        let started = now(Accelerometer::start(other, &LIS3DH)).map(|_| ());
        assert_eq!(started, Err(Error::WrongSensor { expected: 0x33, found: 0x32 }));
    }
}
