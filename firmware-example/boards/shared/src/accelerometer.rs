//! Accelerometers on I2C that queue their samples.
//!
//! The sensor's own clock takes the samples and its queue holds them, so that their spacing does not depend on what the
//! program does meanwhile: a window that is unevenly sampled looks like no motor.

use embedded_hal_async::i2c::I2c;

use crate::Error;

/// Samples that the largest of the sensors' queues holds.
pub(crate) const DEPTH: usize = 32;

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
    /// Samples that can be read at once, each behind the one before: 1, or 32 if the registers begin anew behind z.
    pub burst: usize,
    /// g per count.
    pub scale: f32,
    /// The largest count, of as many bits as the sensor has.
    pub largest: i16,
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
    burst: DEPTH,
    scale: 8.0 / 32768.0,
    largest: 0x7FFC, // 14 bits, the upper ones of 16
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
    burst: DEPTH,
    scale: 8.0 / 32768.0,
    largest: 0x7FF0, // 12 bits, the upper ones of 16
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
    burst: 1, // its queue moves on when a reading ends
    scale: 1.0 / 256.0,
    largest: 0x0FFF, // 13 bits
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
    /// As they came over the bus.
    samples: [[u8; 6]; DEPTH],
}

impl<B: I2c> Accelerometer<B> {
    /// Makes sure that `sensor` is there and sets it going.
    ///
    /// # Errors
    /// [`Error::Bus`] or [`Error::WrongSensor`].
    pub async fn start(bus: B, sensor: &'static Sensor) -> Result<Self, Error<B::Error>> {
        let mut this = Self { bus, sensor, samples: [[0; 6]; DEPTH] };
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

    /// The oldest samples in the queue, as many as are `waiting`: x, y and z in g.
    ///
    /// # Errors
    /// [`Error::Bus`].
    pub async fn read(&mut self, waiting: Waiting) -> Result<impl Iterator<Item = [f32; 3]>, Error<B::Error>> {
        let scale = self.sensor.scale;
        Ok(self.counts(waiting).await?.map(move |counts| counts.map(|count| f32::from(count) * scale)))
    }

    /// The oldest samples in the queue, as many as are `waiting`: x, y and z in the sensor's counts.
    ///
    /// They come in one go where the sensor allows that: on the bus, asking takes half as long as a sample.
    ///
    /// # Errors
    /// [`Error::Bus`].
    pub async fn counts(&mut self, waiting: Waiting) -> Result<impl Iterator<Item = [i16; 3]>, Error<B::Error>> {
        let Self { bus, sensor, samples } = self;
        let (samples, _) = samples.split_at_mut(usize::from(waiting.samples).min(DEPTH));
        for burst in samples.chunks_mut(sensor.burst) {
            bus.write_read(sensor.address, &[sensor.sample], burst.as_flattened_mut()).await.map_err(Error::Bus)?;
        }
        Ok(samples.iter().map(|[x0, x1, y0, y1, z0, z1]| [[*x0, *x1], [*y0, *y1], [*z0, *z1]].map(i16::from_le_bytes)))
    }

    async fn registers<const N: usize>(&mut self, first: u8) -> Result<[u8; N], Error<B::Error>> {
        let mut values = [0; N];
        self.bus.write_read(self.sensor.address, &[first], &mut values).await.map_err(Error::Bus)?;
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal_async::i2c::ErrorKind;

    use super::*;
    use crate::{Simulated, tests::now};

    #[test]
    fn samples_come_in_g_and_in_order() {
        for sensor in [&LIS2DW12, &LIS3DH, &ADXL345] {
            let scale = sensor.scale;
            let samples = [[4096.0 * scale, -4096.0 * scale, 0.0], [scale, 512.0 * scale, -scale], [0.0, 0.0, scale]];
            let bus = Simulated::new(sensor, samples.into_iter(), 3);
            let mut accelerometer = now(Accelerometer::start(bus, sensor)).unwrap();
            for (register, value) in sensor.setup {
                // The last of what is written to the same register.
                let last = sensor.setup.iter().rev().find(|(other, _)| other == register).unwrap();
                assert_eq!(accelerometer.bus.registers[usize::from(*register)], last.1, "{value}");
            }
            let waiting = now(accelerometer.waiting()).unwrap();
            assert_eq!(waiting, Waiting { samples: 3, lost: false });
            let mut expected = samples.into_iter();
            for sample in now(accelerometer.read(waiting)).unwrap() {
                assert_eq!(Some(sample), expected.next());
            }
            assert_eq!(expected.next(), None);
            // There are no others.
            assert_eq!(now(accelerometer.waiting()), Ok(waiting));
            assert_eq!(now(accelerometer.read(waiting)).map(|_| ()), Err(Error::Bus(ErrorKind::Other)));
        }
    }

    #[test]
    fn a_full_queue_is_noticed() {
        for sensor in [&LIS2DW12, &LIS3DH, &ADXL345] {
            let bus = Simulated::new(sensor, core::iter::repeat([0.0; 3]), 30);
            let mut accelerometer = now(Accelerometer::start(bus, sensor)).unwrap();
            assert_eq!(now(accelerometer.waiting()), Ok(Waiting { samples: 30, lost: false }));
            let full = now(accelerometer.waiting()).unwrap();
            assert_eq!(full, Waiting { samples: sensor.full, lost: true });
            assert_eq!(now(accelerometer.read(full)).unwrap().count(), usize::from(sensor.full));
        }
    }

    #[test]
    fn an_absent_and_a_wrong_sensor_are_told_apart() {
        let none = || core::iter::empty::<[f32; 3]>();
        let started = now(Accelerometer::start(Simulated::new(&ADXL345, none(), 0), &LIS3DH)).map(|_| ());
        assert_eq!(started, Err(Error::Bus(ErrorKind::Other)));
        let mut other = Simulated::new(&LIS3DH, none(), 0);
        other.registers[0x0F] = 0x32;
        let started = now(Accelerometer::start(other, &LIS3DH)).map(|_| ());
        assert_eq!(started, Err(Error::WrongSensor { expected: 0x33, found: 0x32 }));
    }
}
