use super::world::Overrides;

/// A world that failed once, on some commit, and must not fail again.
#[derive(Clone, Debug)]
pub struct Regression {
    /// The file that it stands in.
    pub file: String,
    /// The seed.
    pub seed: u64,
    /// What is changed in the world.
    pub overrides: Overrides,
    /// Why it failed, and what cured it.
    pub why: String,
}

/// The worlds in `tests/regressions/`: a line each,
/// `SEED [--mode fan-out] [--off A,B] [--workers N] [--shards N] [--seconds N] # why and its cure`.
///
/// # Errors
/// A file that cannot be read, or a line that is none of these.
pub fn regressions() -> Result<Vec<Regression>, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for path in files.into_iter().filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "seeds")
    }) {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        {
            let regression = parse(&file, line)
                .ok_or_else(|| format!("{file}:{}: `{line}` names no world", number + 1))?;
            all.push(regression);
        }
    }
    Ok(all)
}

fn parse(file: &str, line: &str) -> Option<Regression> {
    let (world, why) = line.split_once('#')?;
    let mut words = world.split_whitespace();
    let seed = words.next()?.parse().ok()?;
    let mut overrides = Overrides::default();
    while let Some(option) = words.next() {
        let value = words.next()?;
        match option {
            "--off" => overrides.off = value.split(',').map(str::to_owned).collect(),
            "--mode" => overrides.fan_out = value == "fan-out",
            "--workers" => overrides.workers = Some(value.parse().ok()?),
            "--shards" => overrides.shards = Some(value.parse().ok()?),
            "--seconds" => overrides.seconds = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(Regression {
        file: file.to_owned(),
        seed,
        overrides,
        why: why.trim().to_owned(),
    })
}
