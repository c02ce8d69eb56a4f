//! Folders of images as people have them: what `task show` says of each.

use image::RgbImage;

use crate::workdir::Workdir;

/// An image like no other.
fn paint(dir: &Workdir, name: &str, width: u32, height: u32) {
    let path = dir.path(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let key = name.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let pixel = |x: u32, y: u32| [0, 5, 11].map(|shift| ((key >> shift) + 9 * x + 5 * y) as u8);
    RgbImage::from_fn(width, height, |x, y| image::Rgb(pixel(x, y))).save(path).expect("an image");
}

fn change(dir: &Workdir, name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let file = std::fs::read(dir.path(name)).expect("a file");
    std::fs::write(dir.path(name), change(file)).expect("a file");
}

/// The start of the coded data of a JPEG.
fn scan(file: &[u8]) -> usize {
    file.windows(2).position(|pair| pair == [0xff, 0xda]).expect("a scan") + 14
}

fn folders(dir: &Workdir) -> Vec<(&'static str, &'static str)> {
    for i in 0..4 {
        for class in ["n01440764", "n01443537"] {
            paint(dir, &format!("imagenet/train/{class}/{class}_{i}.JPEG"), 50, 40);
        }
        paint(dir, &format!("imagenet/val/ILSVRC2012_val_0000000{i}.JPEG"), 50, 40);
        paint(dir, &format!("intel/seg_train/seg_train/sea/{i}.jpg"), 15, 15);
        paint(dir, &format!("intel/seg_train/seg_train/street/{i}.jpg"), 15, 15);
        paint(dir, &format!("intel/seg_test/seg_test/sea/{i}.jpg"), 15, 15);
        paint(dir, &format!("intel/seg_test/seg_test/street/{i}.jpg"), 15, 15);
        paint(dir, &format!("intel/seg_pred/seg_pred/{i}.jpg"), 15, 15);
    }
    let solution =
        (0..4).map(|i| format!("ILSVRC2012_val_0000000{i},n0144{} 85 1 499 272 \n", ["0764", "3537"][i % 2]));
    dir.write("LOC_val_solution.csv", &format!("ImageId,PredictionString\n{}", solution.collect::<String>()));
    for i in 0..10 {
        paint(dir, &format!("dogs-vs-cats/train/cat.{i}.jpg"), 32, 24 + i);
        paint(dir, &format!("dogs-vs-cats/train/dog.{i}.jpg"), 32, 24 + i);
        paint(dir, &format!("dogs-vs-cats/test1/{i}.jpg"), 32, 24);
    }
    let bird = |i: u32| format!("{:03}.Bird/Bird_{i:04}.jpg", i % 2 + 1);
    (1..=12).for_each(|i| paint(dir, &format!("cub/images/{}", bird(i)), 20, 20));
    dir.write("cub/images.txt", &(1..=12).map(|i| format!("{i} {}\n", bird(i))).collect::<String>());
    dir.write("cub/train_test_split.txt", &(1..=12).map(|i| format!("{i} {}\n", u32::from(i < 9))).collect::<String>());
    let row = |i: u32| format!("{},{:03}.Bird,{}\n", bird(i), i % 2 + 1, if i < 9 { "train" } else { "test" });
    dir.write("cub.csv", &format!("file,label,split\n{}", (1..=12).map(row).collect::<String>()));
    for (split, count) in [("train", 6), ("test", 2)] {
        for (i, class) in (0..count).flat_map(|i| ["owl", "rook"].map(|class| (i, class))) {
            paint(dir, &format!("leaks/{split}/{class}/{i}.png"), 8, 8);
        }
    }
    std::fs::copy(dir.path("leaks/test/owl/0.png"), dir.path("leaks/train/owl/same.png")).expect("a copy");
    std::fs::copy(dir.path("leaks/train/owl/1.png"), dir.path("leaks/train/rook/other.png")).expect("a copy");
    for i in 0..8 {
        paint(dir, &format!("odd/ant/{i}.jpg"), 40, 30);
        paint(dir, &format!("odd/bee/{i}.png"), 30 + i, 40);
    }
    std::fs::write(dir.path("odd/ant/.DS_Store"), "").expect("a file");
    std::fs::write(dir.path("odd/bee/0.heic"), "").expect("a file");
    std::fs::write(dir.path("odd/README.md"), "").expect("a file");
    // A camera's preview behind the end; data that ends early.
    change(dir, "odd/ant/0.jpg", |file| [&file[..], &file[..file.len() - 20]].concat());
    change(dir, "odd/ant/1.jpg", |file| [&file[..file.len() - 60], &[0xff, 0xd9]].concat());
    for (name, end) in [("bomb", "jpg"), ("broken", "png")] {
        (0..2).for_each(|i| paint(dir, &format!("{name}/a/{i}.{end}"), 16, 16));
        (0..2).for_each(|i| paint(dir, &format!("{name}/b/{i}.{end}"), 16, 16));
    }
    change(dir, "bomb/a/0.jpg", |mut file| {
        let frame = file.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame");
        file[frame + 5..frame + 9].fill(0xff);
        let scan = scan(&file);
        file.truncate(scan);
        [file, vec![0xff, 0xd9]].concat()
    });
    change(dir, "broken/a/1.png", |file| file[..file.len() / 2].to_vec());
    std::os::unix::fs::symlink("nowhere", dir.path("broken/b/gone.png")).expect("a link");
    for class in 0..1000 {
        (0..2 + class / 500).for_each(|i| paint(dir, &format!("thousand/class{class:03}/{i}.png"), 2, 2));
    }
    vec![
        ("imagenet", ""),
        ("imagenet", "train=train"),
        ("imagenet", "labels=LOC_val_solution.csv"),
        ("intel", ""),
        ("intel", "train=seg_train/seg_train test=seg_test/seg_test"),
        ("dogs-vs-cats", ""),
        ("dogs-vs-cats/train", "labels=names"),
        ("cub", ""),
        ("cub/images", "labels=cub.csv"),
        ("leaks", ""),
        ("leaks", "duplicates=drop"),
        ("odd", "fit=pad background=black"),
        ("bomb", ""),
        ("broken", ""),
        ("thousand", ""),
    ]
}

#[test]
fn every_folder_is_read_as_it_is_meant_or_refused_with_what_to_type() {
    let dir = Workdir::new();
    let mut shown = String::new();
    for (folder, settings) in folders(&dir) {
        let name = format!("images:{folder}");
        let mut args = vec!["task", "show", &name, "--set", "size=8"];
        settings.split_whitespace().for_each(|setting| args.extend(["--set", setting]));
        let output = dir.output(&args);
        let code = output.status.code().expect("no signal ended it");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let settings: String = settings.split_whitespace().map(|setting| format!(" --set {setting}")).collect();
        // What the keys mean is shown once.
        let stdout: String = text(&output.stdout)
            .lines()
            .filter(|line| folder == "odd" || !line.starts_with("setting"))
            .map(|line| format!("{line}\n"))
            .collect();
        shown += &format!("== {name}{settings}\n{}", text(&output.stderr));
        shown += &if code == 0 { format!("--\n{stdout}\n") } else { format!("exit {code}\n\n") };
    }
    let root = std::fs::canonicalize(dir.path("")).expect("a folder").display().to_string();
    insta::assert_snapshot!(without_stamps(&shown.replace(&format!("{root}/"), "")));
}

/// Names of lists and contents are hashes, the ones of times.
fn without_stamps(text: &str) -> String {
    let stamp = |word: &str| word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut shown = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        shown += &if stamp(bare) { word.replace(bare, "HASH") } else { word.to_owned() };
    }
    shown
}

#[test]
fn what_was_found_is_shown_again_by_show_and_plan() {
    let dir = Workdir::new();
    folders(&dir);
    let show = |more: &[&str]| dir.stdout(&[&["task", "show", "images:odd", "--set", "size=8"], more].concat());
    let again = show(&[]);
    assert!(show(&[]).contains("odd: 16 read as train, 3 ignored") && again == show(&[]), "{again}");
    assert!(dir.output(&["task", "show", "images:odd", "--set", "size=8"]).stderr.is_empty(), "it is imported once");
    let audit = &dir.json(&["task", "show", "images:odd", "--set", "size=8", "--json"])["audit"];
    assert_eq!((audit["folders"][0]["read"].as_u64(), audit["damaged"]["count"].as_u64()), (Some(16), Some(1)));
    assert_eq!(audit["classes"], serde_json::json!([[8, 0, 0], [8, 0, 0]]));
    dir.write("own.toml", "name = \"own\"\ntask = { name = \"images:odd\" }\n[axes]\nsize = [8, 16]\nfit = [\"crop\", \"squash\"]\n[budget]\nsteps = 10\n[[model]]\narch = \"mlp\"\n");
    let plan = dir.stdout(&["plan", "own.toml", "--no-time"]);
    assert_eq!(plan.matches("16 read as train, 3 ignored").count(), 1, "{plan}");
    let plan = dir.json(&["plan", "own.toml", "--no-time", "--json"]);
    assert_eq!(plan["audits"].as_object().map(|audits| audits.len()), Some(4));
    assert_eq!(plan["runs"].as_array().map(Vec::len), Some(4));
}
