//! What the operating system knows of a process, and on which core it runs.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of whoever is measured.
pub const SERVER_CORE: usize = 0;

/// The core of the load: the last one, so that it is another where there are two.
pub fn load_core() -> usize {
    cores().saturating_sub(1)
}

/// How many cores this machine has.
pub fn cores() -> usize {
    let online = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    online.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

/// Keeps the calling thread, and what it starts from now on, on one core.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = sched_setaffinity(None, &set) {
        eprintln!("not pinned to core {core} ({error}): figures will swing");
    }
}

/// As many open files as the system lets this process have.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A number of `/proc/PID/status`, in kB.
pub fn status_kb(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or(0)
}

/// Resident memory in kB.
pub fn resident_kb(pid: u32) -> u64 {
    status_kb(pid, "VmRSS:")
}

/// Nanoseconds that all threads of a process have had of a core, in user mode and in the kernel.
pub fn cpu_nanos(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task")) else {
        return 0;
    };
    let of_task = |path: &Path| -> Option<u64> {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    tasks.flatten().filter_map(|task| of_task(&task.path())).sum()
}
