//! What a failed attempt says to a person: of libtorch's messages the first sentence and what to do about it. Its C++
//! frames stay in the log.

/// Why an attempt or a worker failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub reason: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Memory ran out.
    Memory,
    /// The device, or what drives it.
    Device,
    Other,
}

/// What it says, what kind it is, and what to do.
const KNOWN: [(&str, Kind, &str); 11] = [
    ("Found no NVIDIA driver", Kind::Device, NO_DRIVER),
    (
        "driver on your system is too old",
        Kind::Device,
        "update the NVIDIA driver, or take a libtorch for an older CUDA (LIBTORCH)",
    ),
    ("no CUDA-capable device", Kind::Device, NO_DRIVER),
    (
        "no kernel image is available",
        Kind::Device,
        "this libtorch has no kernels for that GPU: set LIBTORCH to one that has",
    ),
    ("out of memory", Kind::Memory, "train less together ('--pack'), or a smaller batch or model"),
    ("can't allocate memory", Kind::Memory, "fewer workers ('--slots'), or a smaller batch or model"),
    ("as the kernel does when memory runs out", Kind::Memory, "fewer workers ('--slots'), or a smaller batch or model"),
    ("CUDA error", Kind::Device, SICK),
    ("CUDNN_STATUS", Kind::Device, SICK),
    ("CUBLAS_STATUS", Kind::Device, SICK),
    (
        "compiled with CUDA",
        Kind::Device,
        "this libtorch is for CPUs: set LIBTORCH to one with CUDA, or '--devices cpu'",
    ),
];
const NO_DRIVER: &str = "'nvidia-smi' has to work first; '--devices cpu' goes without GPUs";
const SICK: &str = "'nvidia-smi -q' and 'dmesg' tell how the GPU is; '--devices' leaves it out";
/// Sentences of libtorch are shown up to about this length.
const LENGTH: usize = 160;

impl Failure {
    /// Of a reason as a worker or the kernel gives it.
    pub fn of(reason: &str) -> Failure {
        let reason = sentence(reason);
        let kind = KNOWN.iter().find(|(says, ..)| reason.contains(says)).map_or(Kind::Other, |(_, kind, _)| *kind);
        Failure { reason, kind }
    }

    /// Of a worker that died and left only its log.
    pub fn in_log(died: &str, log: &str) -> Failure {
        if let Some(line) = log.lines().find(|line| KNOWN.iter().any(|(says, ..)| line.contains(says))) {
            return Failure::of(line);
        }
        let last_words = log.lines().rev().find_map(|line| line.strip_prefix("error: "));
        Failure::of(&last_words.map_or(died.to_string(), |words| format!("{died}: {words}")))
    }

    /// Whether a log says no more than this.
    pub fn says_all_of(&self, log: &str) -> bool {
        log.lines().all(|line| self.reason.contains(line.strip_prefix("error: ").unwrap_or(line)))
    }

    /// What to do, where that is known: the log then says nothing more.
    pub fn advice(&self) -> Option<&'static str> {
        KNOWN.iter().find(|(says, ..)| self.reason.contains(says)).map(|(.., advice)| *advice)
    }
}

/// What an exception of libtorch says, without where it was thrown and how Rust wrapped it.
fn sentence(reason: &str) -> String {
    let wrapped = ["Torch(\"", "DefaultCPUAllocator: ", "RuntimeError: "];
    let mut text = reason.strip_prefix("error: ").unwrap_or(reason);
    for wrap in wrapped {
        text = text.split_once(wrap).map_or(text, |(_, inner)| inner);
    }
    let ends = ["\\nException raised", "\nException raised", "\\n", "\n", "\")"];
    for end in ends {
        text = text.split_once(end).map_or(text, |(before, _)| before);
    }
    let mut said = String::new();
    for part in text.trim().split_inclusive(". ") {
        if !said.is_empty() && said.len() + part.len() > LENGTH {
            break;
        }
        said.push_str(part);
    }
    said.trim().trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reason: &str) -> (String, Kind, bool) {
        let failure = Failure::of(reason);
        (failure.reason.clone(), failure.kind, failure.advice().is_some())
    }

    #[test]
    fn an_exception_of_libtorch_is_its_first_sentence() {
        // As tch 0.24 panics with it, of libtorch 2.11.0.
        let thrown = "libtorch: called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to \
                      allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.02 GiB is free. Including \
                      non-PyTorch memory, this process has 78.08 GiB memory in use.\\nException raised from malloc at \
                      CUDACachingAllocator.cpp:1 (most recent call first):\\nframe #0: c10::Error::Error\")";
        let (reason, kind, advised) = of(thrown);
        assert_eq!(
            reason,
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.02 GiB \
             is free"
        );
        assert_eq!((kind, advised), (Kind::Memory, true));
        let (reason, kind, _) = of(
            "libtorch: called `Result::unwrap()` on an `Err` value: Torch(\"[enforce fail at alloc_cpu.cpp:121] err == \
             0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000 bytes. Error code 12 \
             (Cannot allocate memory)\\nframe #0: c10\")",
        );
        assert!(reason.starts_with("can't allocate memory: you tried to allocate 4000000000000 bytes"), "{reason}");
        assert_eq!(kind, Kind::Memory);
        let (reason, kind, _) =
            of("error: libtorch: Torch(\"CUDA error: no kernel image is available for execution on \
                                    the device\\nCUDA kernel errors might be asynchronously reported\")");
        assert_eq!(reason, "CUDA error: no kernel image is available for execution on the device");
        assert_eq!(kind, Kind::Device);
    }

    #[test]
    fn what_is_not_libtorchs_stays_as_it_is() {
        let said = "cannot read data/x.bin: No such file or directory (os error 2)";
        assert_eq!(of(said), (said.to_string(), Kind::Other, false));
    }

    #[test]
    fn a_worker_that_died_is_explained_by_its_log() {
        let log = "loading\nerror: libtorch: Torch(\"Found no NVIDIA driver on your system. Please check that you have \
                   an NVIDIA GPU\\nException raised from\nframe #1: x";
        let failure = Failure::in_log("the worker ended with exit code 1", log);
        assert!(failure.reason.starts_with("Found no NVIDIA driver on your system"), "{failure:?}");
        assert_eq!(
            Failure::in_log("the worker ended with exit code 1", "").reason,
            "the worker ended with exit code 1"
        );
    }
}
