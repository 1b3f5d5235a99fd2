//! Files that hold no table that is read, told by their first bytes, and what to do about each.

/// A kind of file that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    /// What it is, with its article.
    pub(crate) kind: &'static str,
    /// What makes a table of it.
    pub(crate) advice: &'static str,
}

impl Unread {
    /// What a file's first bytes, unpacked, say that it is; `None` for what may hold a table.
    pub(crate) fn of_bytes(start: &[u8]) -> Option<Self> {
        Self::archive(start).or_else(|| Self::signed(start)).or_else(|| Self::text(start))
    }

    /// Zip archives of spreadsheets, by the names in them, and tar archives.
    fn archive(start: &[u8]) -> Option<Self> {
        let holds = |text: &[u8]| start.windows(text.len()).any(|bytes| bytes == text);
        let (kind, advice) = match start {
            [b'P', b'K', 3, 4, ..] if holds(b"[Content_Types].xml") || holds(b"xl/work") => (
                "an Excel workbook (or another document of Office)",
                "save the sheet as CSV, or pd.read_excel('old.xlsx').to_csv('new.csv', index=False)",
            ),
            [b'P', b'K', 3, 4, ..] if holds(b"opendocument") => {
                ("a spreadsheet of OpenDocument", "save the sheet as CSV")
            }
            _ if start.get(257..262) == Some(b"ustar") => {
                ("a tar archive of several files", "unpack it (tar -xf) and give the file that holds the table")
            }
            _ => return None,
        };
        Some(Self { kind, advice })
    }

    /// Files that begin with a signature.
    fn signed(start: &[u8]) -> Option<Self> {
        // A column may be named ORC, or FORM.
        let is_text = !start.iter().take(512).any(|byte| *byte < b'\t');
        let known = SIGNATURES.iter().find(|(at, signature, ..)| {
            let may_be_a_name = is_text && signature.iter().all(u8::is_ascii_alphanumeric);
            !may_be_a_name && start.get(*at..).is_some_and(|bytes| bytes.starts_with(signature))
        });
        let pickled = matches!(start, [0x80, 2..=5, b'c' | 0x8A | 0x8C | b']' | b'}' | b'(' | 0x95, ..]);
        let pickle = pickled.then_some((
            "a pickle of Python (which may run any program when it is opened)",
            "df = pd.read_pickle('old.pkl'); df.to_csv('new.csv', \
             index=False), or np.save('new.npy', a) of an array",
        ));
        let (kind, advice) = known.map(|(_, _, kind, advice)| (*kind, *advice)).or(pickle)?;
        Some(Self { kind, advice })
    }

    /// Texts that are no CSV.
    fn text(start: &[u8]) -> Option<Self> {
        let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start).trim_ascii_start();
        let begins = |word: &[u8]| start.get(..word.len()).is_some_and(|bytes| bytes.eq_ignore_ascii_case(word));
        let inside = start.get(1..).unwrap_or_default().trim_ascii_start();
        let (kind, advice) = match (start, inside) {
            _ if begins(b"@relation") || has_line(start, b"@relation") => (
                "ARFF, of Weka",
                "from scipy.io import arff; pd.DataFrame(arff.loadarff('old.arff')[0]).to_csv('new.csv', index=False)",
            ),
            _ if begins(b"#datatype") || begins(b"#group") || begins(b"#default") => (
                "annotated CSV of InfluxDB, with a row for each field",
                "df = pd.read_csv('old.csv', comment='#'); df.pivot(index='_time', columns='_field', values='_value').to_csv('new.csv')",
            ),
            ([b'{', ..], [b'"' | b'}', ..]) => ("JSON", FROM_JSON),
            ([b'[', ..], [b'{' | b'[', ..]) => ("JSON", FROM_JSON),
            _ if begins(b"<!doctype") || begins(b"<html") => {
                ("a page of the web", "download the file itself and not the page that shows it")
            }
            _ if begins(b"<?xml") => ("XML", "save the table as CSV"),
            _ => return None,
        };
        Some(Self { kind, advice })
    }
}

const FROM_JSON: &str = "pd.read_json('old.json', lines=True) (without lines=True where it is one list), then \
                         df.to_csv('new.csv', index=False)";

/// Whether one of the lines begins so, behind lines of comments.
fn has_line(start: &[u8], word: &[u8]) -> bool {
    let mut lines = start.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && line[0] != b'%');
    start.first() == Some(&b'%')
        && first.and_then(|line| line.get(..word.len())).is_some_and(|line| line.eq_ignore_ascii_case(word))
}

const TO_WAV: &str = "ffmpeg -i old -c:a pcm_s24le new.wav converts it";
const UNPACK: &str = "unpack it (gzip and Zstandard are unpacked while they are read)";
const MATLAB: &str =
    "writetable(array2table(x), 'new.csv') in MATLAB, or np.save('new.npy', scipy.io.loadmat('old.mat')['x'])";
const HDF5: &str =
    "np.save('new.npy', h5py.File('old.h5')['x'][:]), or df = pd.read_hdf('old.h5'); df.to_csv('new.csv', index=False)";

/// Where a signature stands, the signature, what has it, and what to do.
const SIGNATURES: &[(usize, &[u8], &str, &str)] = &[
    (0, b"RIFX", "WAV with its bytes the other way round (RIFX)", TO_WAV),
    (0, b"riff\x2E\x91\xCF\x11", "Sony Wave64", TO_WAV),
    (0, b"fLaC", "FLAC", TO_WAV),
    (0, b"OggS", "Ogg", TO_WAV),
    (0, b"ID3", "MP3", TO_WAV),
    (0, b"caff", "a Core Audio file", TO_WAV),
    (0, b".snd", "an AU file of sound", TO_WAV),
    (0, b"FORM", "AIFF", TO_WAV),
    (4, b"ftyp", "MP4", TO_WAV),
    (0, b"\x89HDF\r\n\x1A\n", "HDF5", HDF5),
    (
        0,
        b"MATLAB 7.3 MAT-file",
        "a MATLAB file, version 7.3 (HDF5)",
        "save('old.mat', 'x', '-v7') in MATLAB, or h5py: np.save('new.npy', \
     h5py.File('old.mat')['x'][:].T)",
    ),
    (0, b"MATLAB 5.0 MAT-file", "a MATLAB file", MATLAB),
    (0, b"SQLite format 3\0", "a database of SQLite", "sqlite3 -header -csv old.db 'SELECT * FROM t' > new.csv"),
    (0, b"%PDF-", "PDF", "export the table as CSV from the program that made it"),
    (0, b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old document of Office (xls, doc)", "save the sheet as CSV"),
    (0, b"ARROW1", "Feather (Arrow)", "df = pd.read_feather('old.feather'); df.to_csv('new.csv', index=False)"),
    (0, b"Obj\x01", "Avro", "save the table as CSV or Parquet"),
    (0, b"ORC", "ORC", "save the table as CSV or Parquet"),
    (0, b"CDF\x01", "NetCDF", "xarray.open_dataset('old.nc').to_dataframe().to_csv('new.csv')"),
    (0, b"CDF\x02", "NetCDF", "xarray.open_dataset('old.nc').to_dataframe().to_csv('new.csv')"),
    (0, b"TDSm", "TDMS of LabVIEW", "nptdms.TdmsFile('old.tdms').as_dataframe().to_csv('new.csv', index=False)"),
    (0, b"MDF     ", "MDF (measured data of vehicles)", "asammdf.MDF('old.mf4').to_dataframe().to_csv('new.csv')"),
    (0, b"BZh", "compressed with bzip2", UNPACK),
    (0, b"\xFD7zXZ\0", "compressed with xz", UNPACK),
    (0, b"\x04\x22\x4D\x18", "compressed with LZ4", UNPACK),
    (0, b"7z\xBC\xAF\x27\x1C", "an archive of 7-Zip", "unpack it and give the file that holds the table"),
    (0, b"Rar!\x1A\x07", "a RAR archive", "unpack it and give the file that holds the table"),
    (0, b"\x89PNG\r\n\x1A\n", "an image (PNG)", "np.save('new.npy', a) of an array of images, each in a row"),
    (0, b"\xFF\xD8\xFF", "an image (JPEG)", "np.save('new.npy', a) of an array of images, each in a row"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_what_is_no_table_and_what_to_do() {
        let tar = [&[b'a'; 257][..], b"ustar\x0000"].concat();
        let cases: &[(&[u8], &str, &str)] = &[
            (b"PK\x03\x04\x14\0\x06\0\x08\0[Content_Types].xml", "Excel", "pd.read_excel"),
            (b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "OpenDocument", "save the sheet"),
            (b"\x80\x05\x95\x10\0", "pickle", "pd.read_pickle"),
            (b"\x80\x02cpandas", "pickle", "np.save"),
            (b"\x89HDF\r\n\x1a\n\0", "HDF5", "h5py"),
            (b"MATLAB 5.0 MAT-file, Platform\0\x01IM", "MATLAB", "loadmat"),
            (b"MATLAB 7.3 MAT-file, Platform\0", "HDF5", "-v7"),
            (b"SQLite format 3\0\x10", "SQLite", "sqlite3 -header -csv"),
            (&tar, "tar archive", "tar -xf"),
            (b"%PDF-1.7\n", "PDF", "CSV"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "old document of Office", "CSV"),
            (b"RIFX\0\0\x08\0WAVE", "RIFX", "ffmpeg"),
            (b"riff\x2E\x91\xCF\x11\xA5", "Wave64", "ffmpeg"),
            (b"fLaC\0\0\0\x22", "FLAC", "ffmpeg"),
            (b"\0\0\0\x20ftypM4A ", "MP4", "ffmpeg"),
            (b"% 1. Title\n%\n@RELATION 'eeg'\n", "ARFF", "loadarff"),
            (b"@relation a\n@attribute x numeric\n", "ARFF", "loadarff"),
            (b"#datatype,string,long\n#group,false,false\n", "InfluxDB", "pivot"),
            (b"#group,false,false\n", "InfluxDB", "pivot"),
            (b"{\"time\": 1, \"a\": 2}\n{\"time\": 2}\n", "JSON", "lines=True"),
            (b"\xEF\xBB\xBF[\n  {\"a\": 1}]", "JSON", "pd.read_json"),
            (b"[[1, 2], [3, 4]]", "JSON", "pd.read_json"),
            (b"<!DOCTYPE html>\n<html>", "page of the web", "download"),
        ];
        for (start, kind, advice) in cases {
            let found = Unread::of_bytes(start).unwrap_or_else(|| panic!("{kind}"));
            assert!(found.kind.contains(kind) && found.advice.contains(advice), "{kind}: {found:?}");
        }
    }

    #[test]
    fn headers_of_csv_and_arrays_are_none_of_them() {
        for start in [
            &b"ORC,FORM\n1,2\n"[..],
            b"ID3,x\n",
            b"FORM\n1\n",
            b"[V],[A]\n1,2\n",
            b"{a},b\n",
            b"# group of three\n",
            b"#,a\n",
            b"% load,a\n1,2\n",
            b"PK\x03\x04\x14\0x_train.npy",
            b"RIFF\x10\0\0\0WAVEfmt ",
            b"\x93NUMPY\x01\0",
            b"PAR1\x15",
            b"\0\0\x08\x03",
            b"",
        ] {
            assert_eq!(Unread::of_bytes(start), None, "{}", start.escape_ascii());
        }
    }
}
