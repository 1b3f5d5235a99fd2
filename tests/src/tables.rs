//! Files of tables, byte by byte as their formats say.

/// An array of NumPy's: its type, whether columns come first, its shape, and its bytes.
pub fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

/// The bytes of values, the lowest first.
pub fn f32s(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// The checksum of zip archives, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// A zip archive whose members are stored as they are.
pub fn zip(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    for (name, data) in members {
        let name = format!("{name}.npy");
        let sizes = [&[0; 4][..], &crc32(data).to_le_bytes(), &length(data), &length(data)].concat();
        let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
        directory.extend(
            [
                &b"PK\x01\x02\x14\0\x14\0\0\0\0\0"[..],
                &sizes,
                &name_length,
                &[0; 12],
                &length(&archive),
                name.as_bytes(),
            ]
            .concat(),
        );
        archive
            .extend([&b"PK\x03\x04\x14\0\0\0\0\0"[..], &sizes, &name_length, &[0; 2], name.as_bytes(), data].concat());
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let end = [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length(&directory), &length(&archive), &[0; 2]].concat();
    [archive, directory, end].concat()
}

/// A recording: format 1 is PCM, 3 floating-point.
pub fn wav(format: u16, bits: u16, channels: u16, rate: u32, data: &[u8]) -> Vec<u8> {
    let frame = channels * bits / 8;
    let fmt = [
        &format.to_le_bytes()[..],
        &channels.to_le_bytes(),
        &rate.to_le_bytes(),
        &(rate * u32::from(frame)).to_le_bytes(),
        &frame.to_le_bytes(),
        &bits.to_le_bytes(),
    ]
    .concat();
    let length = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    [b"RIFF", &length(36 + data.len())[..], b"WAVEfmt ", &length(16), &fmt, b"data", &length(data.len()), data].concat()
}
