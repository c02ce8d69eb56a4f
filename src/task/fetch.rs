//! Getting the files of a task from their public address: resumed where a try broke off, checked, then put in place in
//! one step, so that a file under its own name is whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::task::archive;
use crate::task::config::Entry;
use crate::task::files::{self, File};
use crate::units;

/// Each address is tried this often before giving up; a try goes on where the one before broke off.
const TRIES: usize = 3;
const STALLED: Duration = Duration::from_secs(60);

/// Makes all files of a task be there, whole and as published. `say` gets a line for each step.
pub fn fetch(entry: &Entry, data: &Path, say: &mut dyn FnMut(String)) -> Result<()> {
    if entry.files.is_empty() {
        let why = if entry.own { "reads files of your own" } else { "is made on the spot" };
        say(format!("{} {why}: there is nothing to fetch", entry.name));
        return Ok(());
    }
    let folder = data.join(entry.name);
    fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    let _lock = files::lock(&folder, say)?;
    let mut missing = Vec::new();
    for file in entry.files {
        match files::find(data, entry.name, file) {
            Some(path) if files::read(data, entry.name, file).is_ok() => {
                say(format!("{} is there and as published", path.display()));
            }
            // What others put there is not ours to remove.
            Some(path) if path.parent() != Some(&folder) => return files::read(data, entry.name, file).map(drop),
            found => {
                if let Some(broken) = found {
                    say(format!("{} is not as published: fetching it again", broken.display()));
                    fs::remove_file(&broken).context(|| format!("cannot remove {}", broken.display()))?;
                }
                missing.push(file);
            }
        }
    }
    match &entry.archive {
        Some(_) if missing.is_empty() => Ok(()),
        Some(archive) => fetch_file(entry, archive, &folder, say, &|part| {
            let content = fs::read(part).context(|| format!("cannot read {}", part.display()))?;
            check(&content, archive)?;
            archive::unpack(&content, entry.files, &folder)?;
            fs::remove_file(part).context(|| format!("cannot remove {}", part.display()))
        }),
        None => missing.into_iter().try_for_each(|file| {
            fetch_file(entry, file, &folder, say, &|part| {
                check(&files::read_unpacked(part)?, file)?;
                let path = folder.join(file.name);
                fs::rename(part, &path).context(|| format!("cannot write {}", path.display()))
            })
        }),
    }
}

/// Fetches `file` into a part, and lets `place` check it and put it in place.
fn fetch_file(
    entry: &Entry,
    file: &File,
    folder: &Path,
    say: &mut dyn FnMut(String),
    place: &dyn Fn(&Path) -> Result<()>,
) -> Result<()> {
    let part = folder.join(format!("{}.part", file.name));
    let mut last = String::new();
    for address in entry.addresses.iter().flat_map(|address| [address; TRIES]) {
        let url = format!("{address}{}", file.name);
        say(format!("fetching {url} ({}) into {}", units::bytes(file.bytes), folder.display()));
        match download(&url, &part).map(|()| place(&part)) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                // Another content: the next try starts over.
                fs::remove_file(&part).context(|| format!("cannot remove {}", part.display()))?;
                last = error.message;
            }
            Err(error) => last = error.message,
        }
        say(last.clone());
    }
    Err(Error::failed(format!("cannot fetch {}: {last}", file.name)).hint(offline(entry, folder)))
}

/// What a person does where this machine has no way out.
pub fn offline(entry: &Entry, folder: &Path) -> String {
    let names: Vec<_> = entry.files.iter().map(|file| file.name).collect();
    let from = entry.addresses.first().copied().unwrap_or_default();
    let what = match &entry.archive {
        Some(archive) => format!("the files {} of {from}{}", names.join(", "), archive.name),
        None => format!("{} from {from}", names.join(", ")),
    };
    format!("without a network, put {what} into {}", folder.display())
}

/// Adds to `part` what is missing of it.
fn download(url: &str, part: &Path) -> Result<()> {
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(STALLED))
        .timeout_per_read(Some(STALLED))
        .accept_encoding("identity")
        .http_status_as_error(false)
        .build();
    let have = fs::metadata(part).map_or(0, |found| found.len());
    let mut request = ureq::Agent::new_with_config(config).get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let mut response = request.call().context(|| "no answer")?;
    let mut options = OpenOptions::new();
    match response.status().as_u16() {
        200 => options.write(true).create(true).truncate(true),
        206 => options.append(true),
        // Nothing is missing: the try before was stopped between its last byte and the rename.
        416 => return Ok(()),
        status => return Err(Error::failed(format!("the server answered {status}"))),
    };
    let failed = || format!("cannot write {}", part.display());
    let mut file = options.open(part).context(failed)?;
    let broke = io::copy(&mut response.body_mut().as_reader(), &mut file).err();
    file.flush().context(failed)?;
    file.sync_all().context(failed)?;
    match broke {
        Some(error) => Err(Error::failed(format!("broke off: {error}"))),
        None => Ok(()),
    }
}

fn check(content: &[u8], file: &File) -> Result<()> {
    match files::hex_sha256(content) == file.sha256 {
        true => Ok(()),
        false => Err(Error::failed("what came is not the published file: its SHA-256 differs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    /// Serves `content`, breaking off after `first` bytes of the first answer; returns its address and the ranges asked.
    fn serve(content: &'static [u8], first: usize, answers: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let mut ranges = Vec::new();
            for answer in 0..answers {
                let (mut stream, _) = listener.accept().unwrap();
                let lines: Vec<String> =
                    BufReader::new(&stream).lines().map_while(|l| l.ok().filter(|l| !l.is_empty())).collect();
                let range = lines.iter().find_map(|l| l.to_lowercase().strip_prefix("range: ").map(String::from));
                let start: usize = range.as_deref().map_or(0, |r| r["bytes=".len()..r.len() - 1].parse().unwrap());
                let status = if start == 0 { "200 OK" } else { "206 Partial Content" };
                let body = &content[start..];
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())
                    .unwrap();
                let sent = if answer == 0 { body.len().min(first) } else { body.len() };
                stream.write_all(&body[..sent]).unwrap();
                ranges.push(range.unwrap_or_default());
            }
            ranges
        });
        (address, served)
    }

    fn entry(address: String, sha256: &'static str) -> Entry {
        let files = Box::leak(Box::new([File { name: "numbers.gz", bytes: 5, sha256, others: &[] }]));
        let addresses = Box::leak(Box::new([&*Box::leak(address.into_boxed_str())]));
        Entry::from_files::<crate::task::fashion_mnist::FashionMnist>("test", "", files, addresses)
    }

    /// printf hello | sha256sum
    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn goes_on_where_it_broke_off() {
        let data = tempfile::tempdir().unwrap();
        let (address, served) = serve(b"hello", 2, 2);
        let entry = entry(address, HELLO);
        fetch(&entry, data.path(), &mut |_| ()).unwrap();
        assert_eq!(served.join().unwrap(), ["", "bytes=2-"]);
        assert_eq!(files::read(data.path(), "test", &entry.files[0]).unwrap(), b"hello");
        // The server is gone; nothing is fetched again.
        fetch(&entry, data.path(), &mut |_| ()).unwrap();
    }

    #[test]
    fn another_content_is_refused_with_what_to_do_offline() {
        let data = tempfile::tempdir().unwrap();
        let (address, served) = serve(b"hullo", 5, TRIES);
        let error = fetch(&entry(address.clone(), HELLO), data.path(), &mut |_| ()).unwrap_err();
        assert_eq!(served.join().unwrap(), [""; TRIES]);
        assert!(error.message.contains("SHA-256 differs"), "{}", error.message);
        let folder = data.path().join("test");
        assert_eq!(
            error.hint.unwrap(),
            format!("without a network, put numbers.gz from {address} into {}", folder.display())
        );
        let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [".lock"]);
    }

    #[test]
    fn goes_on_with_what_an_earlier_process_left() {
        let data = tempfile::tempdir().unwrap();
        let (address, served) = serve(b"hello", 5, 1);
        let entry = entry(address, HELLO);
        fs::create_dir(data.path().join("test")).unwrap();
        fs::write(data.path().join("test/numbers.gz.part"), "hel").unwrap();
        fetch(&entry, data.path(), &mut |_| ()).unwrap();
        assert_eq!(served.join().unwrap(), ["bytes=3-"]);
        assert_eq!(files::read(data.path(), "test", &entry.files[0]).unwrap(), b"hello");
    }

    #[test]
    fn without_a_network_it_says_which_file_goes_where() {
        let data = tempfile::tempdir().unwrap();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = format!("http://{nobody}/");
        let mut said = Vec::new();
        let error = fetch(&entry(address.clone(), HELLO), data.path(), &mut |line| said.push(line)).unwrap_err();
        assert!(error.message.starts_with("cannot fetch numbers.gz: no answer: "), "{}", error.message);
        let folder = data.path().join("test");
        let expected = format!("without a network, put numbers.gz from {address} into {}", folder.display());
        assert_eq!((error.exit_code(), error.hint.unwrap()), (1, expected));
        assert_eq!(said.iter().filter(|line| line.starts_with("fetching ")).count(), TRIES);
        // As the hint says: packed or not.
        fs::write(folder.join("numbers"), "hello").unwrap();
        fetch(&entry(address, HELLO), data.path(), &mut |_| ()).unwrap();
    }

    #[test]
    fn an_archive_that_broke_off_is_completed_and_unpacked() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(5);
        tar.append_data(&mut header, "some/numbers", b"hello".as_slice()).unwrap();
        let tar = tar.into_inner().unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&tar).unwrap();
        let packed: &'static [u8] = Vec::leak(encoder.finish().unwrap());
        let (address, served) = serve(packed, 20, 2);
        let sha256 = Box::leak(files::hex_sha256(packed).into_boxed_str());
        const FILES: [File; 1] = [File { name: "numbers", bytes: 5, sha256: HELLO, others: &[] }];
        let archive = File { name: "all.tar.gz", bytes: packed.len() as u64, sha256, others: &[] };
        let addresses = Box::leak(Box::new([&*address.leak()]));
        let entry = Entry::from_archive::<crate::task::cifar::Cifar10>("test", "", &FILES, archive, addresses);
        let data = tempfile::tempdir().unwrap();
        fetch(&entry, data.path(), &mut |_| ()).unwrap();
        assert_eq!(served.join().unwrap(), ["", "bytes=20-"]);
        assert_eq!(files::read(data.path(), "test", &entry.files[0]).unwrap(), b"hello");
        assert!(!data.path().join("test/all.tar.gz.part").exists());
    }
}
