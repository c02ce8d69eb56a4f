//! Which devices there are, which are free, and how they are cut into slots. GPUs are found by nvidia-smi: this program
//! does not load libtorch.

use std::collections::BTreeSet;
use std::process::Command;
use std::str::FromStr;

use serde::Serialize;

use super::Options;
use crate::error::{Error, Result};

/// `--devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    /// GPUs that nobody uses; the CPU where there is none.
    Auto,
    Cpu,
    /// These GPUs, free or not.
    Cuda(BTreeSet<usize>),
}

impl FromStr for Devices {
    type Err = String;

    fn from_str(text: &str) -> Result<Devices, String> {
        match text {
            "auto" => return Ok(Devices::Auto),
            "cpu" => return Ok(Devices::Cpu),
            _ => {}
        }
        let number = |part: &str| part.trim().strip_prefix("cuda:").and_then(|number| number.parse().ok());
        let rule = || format!("'{text}' is none of: auto, cpu, or GPUs such as cuda:0,cuda:1");
        text.split(',').map(number).collect::<Option<_>>().map(Devices::Cuda).ok_or_else(rule)
    }
}

/// A share of a device that holds one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// `cpu`, `cuda:N`, or several as in `cuda:0,cuda:1`.
    pub device: String,
    pub threads: usize,
    /// Cores that the worker is pinned to; none: wherever the kernel puts it.
    pub cores: Vec<usize>,
    /// What the worker's CUDA_VISIBLE_DEVICES is set to.
    pub visible: Option<String>,
}

impl Slot {
    pub fn is_gpu(&self) -> bool {
        self.visible.is_some()
    }
}

/// What the decision depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: Vec<usize>,
    pub gpus: Vec<Gpu>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// What CUDA_VISIBLE_DEVICES calls it.
    pub visible: String,
    /// Memory that other processes hold, in MiB.
    pub used_mib: f64,
    pub total_mib: f64,
}

impl Gpu {
    /// A driver keeps a little for itself on an idle GPU.
    fn is_busy(&self) -> bool {
        self.used_mib > (0.03 * self.total_mib).max(600.0)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    pub slots: Vec<Slot>,
    pub notes: Vec<String>,
}

impl Machine {
    /// # Errors
    /// GPUs are named and nvidia-smi does not work.
    pub fn look(options: &Options) -> Result<Machine> {
        let gpus = match (&options.devices, nvidia_smi()) {
            (Devices::Cpu, _) | (Devices::Auto, Err(_)) => Vec::new(),
            (_, Ok(listing)) => {
                let chosen = std::env::var("CUDA_VISIBLE_DEVICES").ok();
                visible(parse(&listing), chosen.as_deref())
            }
            (Devices::Cuda(_), Err(error)) => return Err(error),
        };
        Ok(Machine { cores: own_cores(), gpus })
    }
}

/// Cores that this process may use.
pub(super) fn own_cores() -> Vec<usize> {
    let allowed = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0));
    let cores: Vec<usize> = match allowed {
        Ok(set) => (0..nix::sched::CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect(),
        Err(_) => Vec::new(),
    };
    // A container may be given less time than it has cores.
    let worth = std::thread::available_parallelism().map_or(1, usize::from);
    if cores.is_empty() { (0..worth).collect() } else { cores.into_iter().take(worth).collect() }
}

/// What a person calls each slot: its device, and its number where several share that.
pub(super) fn names(slots: &[Slot]) -> Vec<String> {
    let shared = |slot: &Slot| slots.iter().filter(|other| other.device == slot.device).count() > 1;
    let name = |(number, slot): (usize, &Slot)| match shared(slot) {
        true => format!("slot {number} ({})", slot.device),
        false => slot.device.clone(),
    };
    slots.iter().enumerate().map(name).collect()
}

fn nvidia_smi() -> Result<String> {
    let failed = |why: String| {
        Error::failed(format!("cannot list GPUs: nvidia-smi {why}"))
            .hint("is the NVIDIA driver installed? '--devices cpu' goes without GPUs")
    };
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=index,uuid,memory.used,memory.total", "--format=csv,noheader,nounits"])
        .output()
        .map_err(|error| failed(format!("does not start: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("ends with {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `(index, uuid, GPU)` from nvidia-smi's lines; a line that is not about a GPU is not one.
fn parse(listing: &str) -> Vec<(String, String, Gpu)> {
    let gpu = |line: &str| {
        let [index, uuid, used, total] = line.split(',').map(str::trim).collect::<Vec<_>>().try_into().ok()?;
        index.parse::<usize>().ok()?;
        // Some devices do not tell; those count as free.
        let mib = |text: &str| text.parse().unwrap_or(0.0);
        let gpu = Gpu { visible: index.to_string(), used_mib: mib(used), total_mib: mib(total) };
        Some((index.to_string(), uuid.to_string(), gpu))
    };
    listing.lines().filter_map(gpu).collect()
}

/// Those that CUDA_VISIBLE_DEVICES leaves, numbered in its order as CUDA does.
fn visible(all: Vec<(String, String, Gpu)>, chosen: Option<&str>) -> Vec<Gpu> {
    let Some(chosen) = chosen else { return all.into_iter().map(|(.., gpu)| gpu).collect() };
    let find = |name: &str| {
        let named = |(index, uuid, _): &&(String, String, Gpu)| index == name || uuid.starts_with(name);
        all.iter().find(named).map(|(.., gpu)| Gpu { visible: name.to_string(), ..gpu.clone() })
    };
    chosen.split(',').map(str::trim).take_while(|name| !name.is_empty()).map_while(find).collect()
}

/// Cuts the devices into slots, of `together` GPUs each where there are GPUs.
///
/// # Errors
/// A GPU is named that is not there; there are fewer than one slot takes.
pub(super) fn layout(options: &Options, machine: &Machine, together: usize) -> Result<Layout> {
    let mut notes = Vec::new();
    let chosen: Vec<usize> = match &options.devices {
        Devices::Cpu => Vec::new(),
        Devices::Cuda(named) => {
            if let Some(missing) = named.iter().find(|&&gpu| gpu >= machine.gpus.len()) {
                return Err(Error::bad_input(format!(
                    "there is no cuda:{missing}: {} GPUs are visible",
                    machine.gpus.len()
                ))
                .hint("'nvidia-smi -L' lists them; CUDA_VISIBLE_DEVICES hides some; '--devices cpu' goes without"));
            }
            named.iter().copied().collect()
        }
        Devices::Auto => {
            let (busy, free): (Vec<_>, Vec<_>) = (0..machine.gpus.len()).partition(|&gpu| machine.gpus[gpu].is_busy());
            for gpu in busy {
                let used = machine.gpus[gpu].used_mib;
                notes.push(format!(
                    "cuda:{gpu} is in use ({used:.0} MiB) and left alone; --devices cuda:{gpu} takes it"
                ));
            }
            if free.is_empty() && !machine.gpus.is_empty() {
                notes.push("no GPU is free: training on the CPU".into());
            }
            free
        }
    };
    if together > chosen.len().max(1) {
        let free = if chosen.is_empty() { "no GPU is".into() } else { format!("{} are", chosen.len()) };
        return Err(Error::bad_input(format!("a run of a script takes {together} GPUs, and {free} to be had"))
            .hint("--devices cuda:0,cuda:1 names GPUs; `gpus` in its [[model]] is how many one run takes"));
    }
    let groups: Vec<&[usize]> = chosen.chunks_exact(together.max(1)).collect();
    if together > 1 {
        let left = chosen.len() % together;
        let rest = if left > 0 { format!("; {left} of the GPUs are left over") } else { String::new() };
        notes.push(format!("a slot is {together} GPUs, which one run of a script takes{rest}"));
    }
    let slots = if groups.is_empty() { cpu_slots(options, machine) } else { gpu_slots(options, machine, &groups) };
    Ok(Layout { slots, notes })
}

fn cpu_slots(options: &Options, machine: &Machine) -> Vec<Slot> {
    let cores = machine.cores.len();
    let threads = match (options.threads, options.slots) {
        (Some(threads), _) => threads as usize,
        (None, _) => 1,
    };
    let slots = options.slots.map_or((cores / threads).max(1), |slots| slots as usize);
    let pinned = slots * threads <= cores;
    let slot = |at: usize| Slot {
        device: "cpu".into(),
        threads,
        cores: if pinned { machine.cores[at * threads..(at + 1) * threads].to_vec() } else { Vec::new() },
        visible: None,
    };
    (0..slots).map(slot).collect()
}

/// Slots go round the groups of GPUs. Their threads mostly launch kernels: no pinning.
fn gpu_slots(options: &Options, machine: &Machine, groups: &[&[usize]]) -> Vec<Slot> {
    let slots = options.slots.map_or(groups.len(), |slots| slots as usize);
    let threads = options.threads.map_or((machine.cores.len() / slots).clamp(1, 4), |threads| threads as usize);
    let joined = |names: Vec<String>| names.join(",");
    let slot = |gpus: &&[usize]| Slot {
        device: joined(gpus.iter().map(|gpu| format!("cuda:{gpu}")).collect()),
        threads,
        cores: Vec::new(),
        visible: Some(joined(gpus.iter().map(|gpu| machine.gpus[*gpu].visible.clone()).collect())),
    };
    groups.iter().cycle().take(slots).map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nvidia-smi prints it; the middle one is in use.
    const LISTING: &str = "0, GPU-aaaa-1, 4, 143771\n1, GPU-bbbb-2, 81920, 143771\n2, GPU-cccc-3, [N/A], [N/A]\n";

    fn options(devices: &str, slots: Option<u32>, threads: Option<u32>) -> Options {
        Options {
            devices: devices.parse().unwrap(),
            slots,
            threads,
            pack: None,
            no_trunks: false,
            retries: 1,
            hang_timeout: None,
            max_failures: None,
        }
    }

    fn machine(chosen: Option<&str>) -> Machine {
        Machine { cores: vec![2, 3, 4, 5], gpus: visible(parse(LISTING), chosen) }
    }

    fn laid_out(options: &Options, machine: &Machine) -> Vec<String> {
        let show = |slot: Slot| {
            format!("{}/{}/{:?}/{}", slot.device, slot.threads, slot.cores, slot.visible.as_deref().unwrap_or("-"))
        };
        layout(options, machine, 1).unwrap().slots.into_iter().map(show).collect()
    }

    #[test]
    fn device_lists_are_read_and_others_refused() {
        assert_eq!("cuda:2,cuda:0".parse(), Ok(Devices::Cuda([0, 2].into())));
        for bad in ["gpu", "", "cuda", "cuda:0,", "cuda:-1", "cpu,cuda:0"] {
            assert!(bad.parse::<Devices>().unwrap_err().contains("cuda:0,cuda:1"), "{bad}");
        }
    }

    #[test]
    fn cores_are_shared_out_and_pinned_unless_there_are_too_few() {
        let none = Machine { gpus: vec![], ..machine(None) };
        let of = |slots, threads| laid_out(&options("auto", slots, threads), &none);
        assert_eq!(of(None, None), ["cpu/1/[2]/-", "cpu/1/[3]/-", "cpu/1/[4]/-", "cpu/1/[5]/-"]);
        assert_eq!(of(None, Some(2)), ["cpu/2/[2, 3]/-", "cpu/2/[4, 5]/-"]);
        assert_eq!(of(Some(1), None), ["cpu/1/[2]/-"]);
        assert_eq!(of(None, Some(8)), ["cpu/8/[]/-"]);
        assert_eq!(of(Some(3), Some(2)), ["cpu/2/[]/-"; 3]);
    }

    #[test]
    fn busy_gpus_are_left_alone_unless_named() {
        let auto = layout(&options("auto", None, None), &machine(None), 1).unwrap();
        assert_eq!(auto.slots.iter().map(|slot| slot.device.as_str()).collect::<Vec<_>>(), ["cuda:0", "cuda:2"]);
        assert!(auto.notes[0].contains("cuda:1 is in use (81920 MiB)"), "{:?}", auto.notes);
        assert_eq!(laid_out(&options("cuda:1", Some(2), Some(3)), &machine(None)), ["cuda:1/3/[]/1"; 2]);
        let busy = layout(&options("auto", None, None), &machine(Some("1")), 1).unwrap();
        assert_eq!((busy.slots[0].device.as_str(), busy.notes.len()), ("cpu", 2));
        let missing = layout(&options("cuda:3", None, None), &machine(None), 1).unwrap_err();
        assert_eq!(missing.message, "there is no cuda:3: 3 GPUs are visible");
    }

    #[test]
    fn a_run_of_several_gpus_makes_slots_of_several() {
        let all = |together: usize, devices: &str| layout(&options(devices, None, None), &machine(None), together);
        let pairs = all(2, "cuda:0,cuda:1,cuda:2").unwrap();
        assert_eq!(pairs.slots.len(), 1);
        assert_eq!((pairs.slots[0].device.as_str(), pairs.slots[0].visible.as_deref()), ("cuda:0,cuda:1", Some("0,1")));
        assert!(pairs.notes[0].ends_with("1 of the GPUs are left over"), "{:?}", pairs.notes);
        let refused = |together, devices| all(together, devices).unwrap_err().message;
        assert_eq!(refused(4, "cuda:0,cuda:2"), "a run of a script takes 4 GPUs, and 2 are to be had");
        assert_eq!(refused(2, "cpu"), "a run of a script takes 2 GPUs, and no GPU is to be had");
        assert_eq!(all(1, "cpu").unwrap().slots.len(), 4);
    }

    #[test]
    fn cuda_visible_devices_is_obeyed_and_numbers_the_gpus() {
        assert_eq!(laid_out(&options("cuda:0", None, None), &machine(Some("2,0"))), ["cuda:0/4/[]/2"]);
        assert_eq!(laid_out(&options("cuda:0", None, None), &machine(Some("GPU-cccc"))), ["cuda:0/4/[]/GPU-cccc"]);
        assert!(machine(Some("")).gpus.is_empty());
        assert!(machine(Some("7,0")).gpus.is_empty());
    }
}
