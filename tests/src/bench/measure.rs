use std::fs;
use std::io;

/// What a client process has used.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// User and system CPU, in milliseconds.
    pub cpu_ms: f64,
    /// The peak of resident memory, in KiB.
    pub peak_kib: u64,
    /// Records that were read.
    pub records: u64,
    /// A sum over every byte: shows that they were touched, and that the right ones were read.
    pub sum: u64,
}

impl Figures {
    /// What this process has used until now.
    ///
    /// # Errors
    /// When `/proc` does not say.
    pub fn of_this_process(records: u64, sum: u64) -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|text| text.split_whitespace().next());
        let peak_kib = peak
            .and_then(|kib| kib.parse().ok())
            .ok_or_else(|| io::Error::other("no VmHWM in /proc/self/status"))?;
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu_ms = cpu.tv_sec as f64 * 1e3 + cpu.tv_nsec as f64 / 1e6;
        Ok(Self {
            cpu_ms,
            peak_kib,
            records,
            sum,
        })
    }
}

impl std::fmt::Display for Figures {
    /// One line that [`FromStr`](std::str::FromStr) reads.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} {} {}",
            self.cpu_ms, self.peak_kib, self.records, self.sum
        )
    }
}

impl std::str::FromStr for Figures {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let unreadable = || format!("no figures: `{line}`");
        let [cpu, peak, records, sum] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(unreadable());
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| unreadable());
        let cpu_ms = cpu.parse().map_err(|_| unreadable())?;
        Ok(Self {
            cpu_ms,
            peak_kib: number(peak)?,
            records: number(records)?,
            sum: number(sum)?,
        })
    }
}

/// Touches every byte.
pub(super) fn touch(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}
