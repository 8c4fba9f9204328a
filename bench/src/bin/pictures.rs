//! Draws the pictures of docs/benchmarks.md from the figures that were measured.
//!
//! ```text
//! pictures [FIGURES [PICTURES]]      bench/figures and docs/pictures unless said
//! ```
//!
//! FIGURES holds what the measuring programs have written: `compare.json` by `bench/compare-kamailio --curve`,
//! `memory.json` by `footprint --curve`, and `overload.json` by `overload`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bench::picture::{Chart, Line, Mark, Ratio, Scale, ratios};
use serde_json::Value;

fn main() -> ExitCode {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let figures = arguments.next().unwrap_or_else(|| bench.join("figures"));
    let pictures = arguments.next().unwrap_or_else(|| bench.join("../docs/pictures"));
    let drawn = [
        draw(&figures, &pictures, "compare", "ratios", draw_ratios),
        draw(&figures, &pictures, "compare", "latency", draw_latency),
        draw(&figures, &pictures, "memory", "memory", draw_memory),
        draw(&figures, &pictures, "overload", "overload", draw_overload),
    ];
    let mut code = ExitCode::SUCCESS;
    for outcome in drawn {
        match outcome {
            Ok(path) => println!("{}", path.display()),
            Err(reason) => {
                eprintln!("pictures: {reason}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn draw(
    figures: &Path,
    pictures: &Path,
    figures_of: &str,
    name: &str,
    picture: fn(&Value) -> Result<String, String>,
) -> Result<PathBuf, String> {
    let from = figures.join(figures_of).with_extension("json");
    let text = std::fs::read_to_string(&from).map_err(|error| format!("{}: {error}", from.display()))?;
    let value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", from.display()))?;
    let svg = picture(&value).map_err(|reason| format!("{}: {reason}", from.display()))?;
    let to = pictures.join(name).with_extension("svg");
    std::fs::write(&to, svg).map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(to)
}

/// What is divided by Kamailio's; the others stand alone.
const RATIOS: [&str; 5] = ["T4", "T5", "T6", "T10", "T11"];

fn draw_ratios(value: &Value) -> Result<String, String> {
    let mut rows = Vec::new();
    for row in list(value, "ratios")? {
        let target = word(row, "target")?;
        // Nothing may be lost of what is paced: that has no ratio.
        if !RATIOS.contains(&&*target) || row["required"].as_f64().is_none_or(|required| required == 0.0) {
            continue;
        }
        rows.push(Ratio {
            label: format!("{target} {}", word(row, "label")?),
            ratio: number(row, "ratio")?,
            spread: (number(row, "least")?, number(row, "most")?),
            required: number(row, "required")?,
            goal: number(row, "goal")?,
        });
    }
    let said: Vec<String> = rows.iter().map(|row| format!("{} {:.2}", row.label, row.ratio)).collect();
    let description = format!("Hotdesk divided by Kamailio: {}.", said.join("; "));
    Ok(ratios("Hotdesk divided by Kamailio, one core each", &description, &rows))
}

fn draw_latency(value: &Value) -> Result<String, String> {
    let mut lines = Vec::new();
    let mut fastest = 0.0_f64;
    for (colour, server) in list(value, "servers")?.iter().enumerate() {
        let name = word(server, "name")?;
        for (key, share, faint) in [("p50_us", "half of them", true), ("p99_us", "99 of 100", false)] {
            let mut points = Vec::new();
            for point in list(server, "points")? {
                let offered = number(point, "offered")?;
                fastest = fastest.max(offered);
                points.push((offered, number(point, key)?));
            }
            lines.push(Line { name: format!("{name}: {share} answered by then"), colour, faint, points });
        }
    }
    let chart = Chart {
        title: "How long a REGISTER waits, up to overload".to_owned(),
        description:
            "Time until the answer over requests offered a second; each curve rises steeply where its server \
                      is full."
                .to_owned(),
        x_name: "REGISTER refreshes with digest offered a second, one core".to_owned(),
        y_name: "µs from the time it was due to its answer".to_owned(),
        x: Scale::linear(fastest),
        y: Scale::logarithmic(10.0, 1_000_000.0),
        lines,
        marks: Vec::new(),
    };
    Ok(chart.draw())
}

fn draw_memory(value: &Value) -> Result<String, String> {
    let mut lines = Vec::new();
    for (colour, series) in list(value, "series")?.iter().enumerate() {
        let mut points = Vec::new();
        for point in list(series, "points")? {
            points.push((number(point, "bindings")?, number(point, "bytes_each")?));
        }
        lines.push(Line { name: word(series, "name")?, colour, faint: false, points });
    }
    let mark = |name: &str, class, y| Mark { name: name.to_owned(), class, y };
    let chart = Chart {
        title: "What a binding costs in memory, all included".to_owned(),
        description: "Bytes a binding over bindings, from ten thousand to a million; Kamailio takes 1,110."
            .to_owned(),
        x_name: "bindings".to_owned(),
        y_name: "bytes each, growth of PSS".to_owned(),
        x: Scale::logarithmic(10_000.0, 1_000_000.0),
        y: Scale::linear(1_200.0),
        lines,
        marks: vec![
            mark("Kamailio, 100,000 and 500,000: 1,107 and 1,112", "peer", 1_110.0),
            mark("required", "required", 500.0),
            mark("goal", "goal", 350.0),
        ],
    };
    Ok(chart.draw())
}

fn draw_overload(value: &Value) -> Result<String, String> {
    let (mut lines, mut said) = (Vec::new(), Vec::new());
    let mut most = 0.0_f64;
    for (colour, load) in list(value, "loads")?.iter().enumerate() {
        let (name, capacity) = (word(load, "name")?, number(load, "capacity")?);
        let mut points = vec![(0.0, 0.0)];
        for point in list(load, "points")? {
            let (offered, share) = (number(point, "offered")? / capacity, number(point, "share")?);
            most = most.max(offered);
            points.push((offered, share));
            said.push(format!("{name}, {offered:.1} times as many: {share:.2}"));
        }
        lines.push(Line {
            name: format!("{name}: 1 is {capacity:.0} a second"),
            colour,
            faint: false,
            points,
        });
    }
    let chart = Chart {
        title: "What is done when more is asked than can be".to_owned(),
        description: format!("Goodput over load, both as multiples of the capacity. {}.", said.join("; ")),
        x_name: "asked for a second, capacity 1".to_owned(),
        y_name: "done in time and well a second, capacity 1".to_owned(),
        x: Scale::linear(most),
        y: Scale::linear(1.2),
        lines,
        marks: vec![Mark { name: "required at 2 and 10".to_owned(), class: "required", y: 0.8 }],
    };
    Ok(chart.draw())
}

fn list<'v>(value: &'v Value, key: &str) -> Result<&'v [Value], String> {
    value[key].as_array().map(Vec::as_slice).ok_or_else(|| format!("there is no list '{key}'"))
}

fn word(value: &Value, key: &str) -> Result<String, String> {
    value[key].as_str().map(str::to_owned).ok_or_else(|| format!("there is no text '{key}' in {value}"))
}

fn number(value: &Value, key: &str) -> Result<f64, String> {
    value[key].as_f64().ok_or_else(|| format!("there is no number '{key}' in {value}"))
}
