//! A sensor that is none, for tests and for emulated chips that have nothing on their bus.

use embedded_hal_async::i2c::{ErrorKind, ErrorType, I2c, Operation};

use crate::Sensor;

/// A bus with nothing but a sensor on it, whose samples are made up.
#[derive(Debug)]
pub struct Simulated<S> {
    sensor: &'static Sensor,
    pub(crate) registers: [u8; 256],
    samples: S,
    queued: u8,
    pace: u8,
}

impl<S: Iterator<Item = [f32; 3]>> Simulated<S> {
    /// A sensor that measures `samples`, x, y and z in g, of which `pace` come between two looks at its queue: behind the last one the
    /// bus fails.
    pub fn new(sensor: &'static Sensor, samples: S, pace: u8) -> Self {
        let mut registers = [0; 256];
        registers[usize::from(sensor.identity.0)] = sensor.identity.1;
        Self { sensor, registers, samples, queued: 0, pace }
    }

    fn answer(&mut self, register: u8, read: &mut [u8]) -> Result<(), ErrorKind> {
        if register == self.sensor.sample {
            for sample in read.as_chunks_mut::<6>().0 {
                let taken = self.samples.next().filter(|_| self.queued > 0).ok_or(ErrorKind::Other)?;
                self.queued -= 1;
                let counts = taken.map(|g| ((g / self.sensor.scale) as i16).to_le_bytes());
                sample.copy_from_slice(counts.as_flattened());
            }
        } else if register == self.sensor.queued.0 {
            self.queued = (self.queued + self.pace).min(self.sensor.full);
            read.fill(self.queued | !self.sensor.queued.1); // the bits beside the number are flags
        } else {
            read.fill(self.registers[usize::from(register)]);
        }
        Ok(())
    }
}

impl<S> ErrorType for Simulated<S> {
    type Error = ErrorKind;
}

impl<S: Iterator<Item = [f32; 3]>> I2c for Simulated<S> {
    async fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        match operations {
            _ if address != self.sensor.address => Err(ErrorKind::Other),
            [Operation::Write([register, value])] => {
                self.registers[usize::from(*register)] = *value;
                Ok(())
            }
            [Operation::Write([register]), Operation::Read(read)] => self.answer(*register, read),
            _ => Err(ErrorKind::Other),
        }
    }
}
