use std::fs;
use std::path::Path;

use image::{DynamicImage, GrayImage};

use super::*;
use crate::task::config::Source;
use crate::task::examples::{Images, Split};
use crate::task::imported::parse_in;

/// A folder, and a cache beside it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path("")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("photos").join(name)
    }

    fn save(&self, name: &str, image: impl Into<DynamicImage>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image.into().save(path).unwrap();
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    /// An image like no other.
    fn paint(&self, name: &str) {
        let shade =
            |x: u32, y: u32| name.bytes().fold(x * 7 + y * 3, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
        self.save(name, GrayImage::from_fn(6, 5, |x, y| image::Luma([(shade(x, y) >> 3) as u8])));
    }

    fn source(&self, more: &str) -> Result<Box<dyn Source>> {
        self.source_of("", more)
    }

    fn source_of(&self, folder: &str, more: &str) -> Result<Box<dyn Source>> {
        let given = format!(r#"{{"folder": {:?}, "size": 4{more}}}"#, self.path(folder).to_str().unwrap());
        Ok(parse_in::<ImageFolder>(&self.0.path().join("cache"), "images", &serde_json::from_str(&given).unwrap())?.0)
    }

    fn splits(&self, more: &str) -> (u64, u64, u64) {
        let splits = self.source(more).unwrap().splits();
        (splits.train.unwrap(), splits.validation, splits.test)
    }

    /// What is wrong, and what to type, without where the folder lies.
    fn refused(&self, more: &str) -> String {
        self.refused_of("", more)
    }

    fn refused_of(&self, folder: &str, more: &str) -> String {
        let error = self.source_of(folder, more).err().unwrap();
        let text = format!("{}\n{}", error.message, error.hint.unwrap_or_default());
        text.replace(&self.0.path().join("cache").display().to_string(), "CACHE")
            .replace(&self.0.path().display().to_string(), "")
    }
}

fn pixels(split: &Split) -> &[u8] {
    let Images::U8(pixels) = &split.images else { panic!("images are bytes") };
    pixels
}

#[test]
fn splits_go_by_several_names_and_no_link_leads_upwards() {
    let folder = Folder::new();
    for (split, count) in [("Training", 3), ("Val", 2), ("Testing", 1)] {
        for i in 0..count {
            folder.paint(&format!("{split}/ant/{i}.png"));
            folder.paint(&format!("{split}/bee/{i}.png"));
        }
    }
    assert_eq!(folder.splits(""), (6, 4, 2));
    std::os::unix::fs::symlink("..", folder.path("Val/ant/self")).unwrap();
    assert!(folder.refused("").contains("self is a link to a folder that it stands in"));
}

#[test]
fn classes_are_folders_and_splits_are_held_out_or_folders_too() {
    let folder = Folder::new();
    for (class, count) in [("zebra", 6), ("ant", 14)] {
        for i in 0..count {
            let shade = if class == "ant" { 10 } else { 200 } + i as u8;
            folder.save(&format!("{class}/deeper/{i}.PNG"), GrayImage::from_pixel(3, 5, image::Luma([shade])));
        }
    }
    folder.write("ant/.hidden.png", "no image");
    folder.write("ant/notes.txt", "no image");
    let task = folder.source(r#", "channels": 1, "test": 5, "validation": 0.1"#).unwrap();
    assert_eq!(task.classes(), ["ant", "zebra"]);
    assert_eq!((task.splits().train, task.splits().validation, task.splits().test), (Some(13), 2, 5));
    let all = task.load(Path::new(""), 100).unwrap();
    let mut shades = Vec::new();
    for split in [&all.train, &all.validation, &all.test] {
        for (image, &label) in pixels(split).chunks(16).zip(&split.labels) {
            assert_eq!((image, label), ([image[0]; 16].as_slice(), i64::from(image[0] >= 100)));
            shades.push(image[0]);
        }
    }
    // Of 14 and 6, a quarter and a tenth.
    assert_eq!(all.test.labels.iter().sum::<i64>(), 1);
    assert_eq!(all.validation.labels.iter().sum::<i64>(), 1);
    assert!(!shades.is_sorted());
    shades.sort();
    assert_eq!(shades, (10..24).chain(200..206).collect::<Vec<u8>>(), "each image is in one split, once");
    assert_eq!(task.load(Path::new(""), 3).unwrap().train.labels[..], all.train.labels[..3]);
    let audit = task.audit().unwrap();
    assert_eq!((audit.folders[0].read, audit.folders[0].ignored), (20, 2));
    let ignored: Vec<_> =
        audit.ignored.iter().map(|kind| (kind.kind.as_str(), kind.count, kind.reason.as_str())).collect();
    assert_eq!(ignored, [(".txt", 1, "no image by its name"), ("hidden files", 1, "hidden")]);
    assert_eq!(audit.classes, [[14, 0, 0], [6, 0, 0]]);

    for split in ["train", "val", "test"] {
        folder.paint(&format!("{split}/ant/0.png"));
        folder.paint(&format!("{split}/zebra/0.png"));
    }
    assert!(folder.refused("").contains("it has ant, test, train, val, zebra"));
    fs::remove_dir_all(folder.path("ant")).unwrap();
    fs::remove_dir_all(folder.path("zebra")).unwrap();
    assert_eq!(folder.splits(""), (2, 2, 2));
    assert!(folder.refused(r#", "test": 3"#).contains("have 2 test images of their own"));
    folder.paint("test/bee/0.png");
    assert!(folder.refused("").contains("test/bee/0.png is of class bee, which train does not have"));
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_is_read_twice() {
    let folder = Folder::new();
    folder.paint("a/0.png");
    assert!(folder.refused("").contains("has 1 folders, and needs one for each of 2"));
    fs::create_dir(folder.path("b")).unwrap();
    assert!(folder.refused("").contains("b has no image\nremove the folder, or put"));
    folder.write("b/broken.jpg", "no image");
    folder.paint("b/cut.png");
    folder.paint("b/good.png");
    let whole = fs::read(folder.path("b/cut.png")).unwrap();
    folder.write("b/cut.png", &whole[..whole.len() / 2]);
    std::os::unix::fs::symlink("nowhere.png", folder.path("b/gone.png")).unwrap();
    let message = folder.refused("");
    assert!(message.contains("3 of 5 images cannot be read"), "{message}");
    for name in ["b/broken.jpg: it is no image", "b/cut.png: it cannot be decoded", "b/gone.png: No such file"] {
        assert!(message.contains(name), "{message}");
    }
    let list = message.split("skip = \"").nth(1).unwrap().split('"').next().unwrap();
    let list = list.replace("CACHE", &folder.0.path().join("cache").display().to_string());
    let kept: Vec<String> = fs::read_to_string(&list).unwrap().lines().map(String::from).collect();
    assert_eq!(kept.len(), 4);
    assert!(kept[2].ends_with("b/cut.png\tit cannot be decoded: unexpected end of file"), "{kept:?}");
    assert!(!folder.0.path().join("cache/images/import.part").exists());

    // The list goes on without them, and is part of what the set is: those of good files alone.
    let skipping = folder.source(&format!(r#", "skip": {list:?}"#)).err().unwrap().message;
    assert!(skipping.contains("validation and test must leave some of the 2 training images"), "{skipping}");
    // What was read once is taken from there: a file that turned bad since, but looks the same, is not opened.
    for i in 0..8 {
        folder.paint(&format!("a/more{i}.png"));
    }
    folder.refused("");
    let good = folder.path("b/good.png");
    let (length, written) = (fs::metadata(&good).unwrap().len(), fs::metadata(&good).unwrap().modified().unwrap());
    fs::write(&good, vec![0; length as usize]).unwrap();
    fs::File::options().write(true).open(&good).unwrap().set_modified(written).unwrap();
    assert!(folder.refused("").contains("3 of 13 images cannot be read"));
    let task = folder.source(&format!(r#", "skip": {list:?}, "validation": 1, "test": 1"#)).unwrap();
    assert_eq!((task.splits().train, task.audit().unwrap().folders[0].skipped), (Some(8), 3));
    assert!(
        !fs::read_dir(folder.0.path().join("cache/images"))
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_str().unwrap().starts_with("leftover") })
    );
    folder.write("typo.txt", "nowhere.png\n");
    let typo = folder.path("typo.txt");
    assert!(folder.refused(&format!(r#", "skip": {typo:?}"#)).contains("names no image of /photos"));

    assert_eq!(folder.refused(r#", "size": 0"#), "task 'images': size must be 1 to 1024, and is 0\n");
    assert_eq!(folder.refused(r#", "channels": 2"#), "task 'images': channels must be 1 or 3, and is 2\n");
    assert!(folder.refused(r#", "fit": "stretch""#).contains("fit: unknown variant `stretch`, expected one of `crop`"));
    assert!(folder.refused_of("nowhere", "").contains("nowhere: No such file"));
}

#[test]
fn splits_that_would_be_lost_or_be_classes_are_refused_with_what_to_type() {
    // ImageNet as unpacked.
    let folder = Folder::new();
    for i in 0..3 {
        folder.paint(&format!("train/n01440764/n01440764_{i}.JPEG"));
        folder.paint(&format!("train/n01443537/n01443537_{i}.JPEG"));
        folder.paint(&format!("val/ILSVRC2012_val_0000000{i}.JPEG"));
    }
    let message = folder.refused("");
    assert!(
        message.contains("/photos/val has 3 images and no folder of a class, so nothing says their labels"),
        "{message}"
    );
    assert!(message.contains("or leave them out with train = \"train\" alone"), "{message}");
    assert_eq!(folder.splits(r#", "train": "train""#), (4, 1, 1));
    assert!(folder.source(r#", "train": "train""#).unwrap().audit().unwrap().notes[0].contains("only train is read"));
    folder.write("LOC_val_solution.csv", "");
    assert!(
        folder.refused("").contains("labels = \"/photos/LOC_val_solution.csv\" says them, by file or in the order")
    );

    // The names of its archives, and of Intel's scenes.
    for (train, other, key) in
        [("ILSVRC2012_img_train", "ILSVRC2012_img_val", "validation"), ("seg_train", "seg_test", "test")]
    {
        let folder = Folder::new();
        for (split, count) in [(train, 3), (other, 2)] {
            for i in 0..count {
                folder.paint(&format!("{split}/{split}/a/{i}.png"));
                folder.paint(&format!("{split}/{split}/b/{i}.png"));
            }
        }
        folder.paint("seg_pred/1.png");
        let message = folder.refused("");
        assert!(message.contains("which read like splits and would be classes"), "{message}");
        let typed = format!("train = \"{train}/{train}\", {key} = \"{other}/{other}\"");
        assert!(message.contains(&typed), "{message}");
        let keys = format!(r#", "train": "{train}/{train}", "{key}": "{other}/{other}""#);
        let splits = folder.splits(&keys);
        assert_eq!(if key == "test" { (splits.0, splits.2) } else { (splits.0, splits.1) }, (5, 4));
        let wrong = folder.refused(r#", "train": "sge_train""#);
        assert!(
            wrong.contains("train = \"sge_train\": /photos/sge_train is no folder") && wrong.contains("seg_pred"),
            "{wrong}"
        );
    }
    assert!(folder.refused(r#", "validation": "val""#).contains("train does not"), "train is needed beside it");
}

#[test]
fn a_class_may_be_called_train() {
    let folder = Folder::new();
    for class in ["train", "bus", "test_tube", "valley"] {
        (0..5).for_each(|i| folder.paint(&format!("{class}/{i}.png")));
    }
    assert_eq!(folder.source("").unwrap().classes(), ["bus", "test_tube", "train", "valley"]);
    (0..5).for_each(|i| folder.paint(&format!("train/steam/{i}.png")));
    assert!(folder.refused("").contains("if train is a class: train = \".\""));
    assert_eq!(folder.source(r#", "train": ".""#).unwrap().audit().unwrap().classes[2], [10, 0, 0]);
    // As in CIFAR-100, among the classes of a split.
    let folder = Folder::new();
    for (split, class) in [("train", "train"), ("train", "bus"), ("test", "train"), ("test", "bus")] {
        (0..5).for_each(|i| folder.paint(&format!("{split}/{class}/{i}.png")));
    }
    assert_eq!(folder.splits(""), (9, 1, 10));
}

#[test]
fn labels_come_from_names_or_from_a_list() {
    // Kaggle's cats and dogs.
    let folder = Folder::new();
    for i in 0..10 {
        folder.paint(&format!("train/cat.{i}.jpg"));
        folder.paint(&format!("train/dog.{i}.jpg"));
        folder.paint(&format!("test1/{i}.jpg"));
    }
    let message = folder.refused("");
    assert!(message.contains("/photos/train has 20 images and no folder of a class"), "{message}");
    assert!(
        message
            .contains("images:/photos/train with labels = \"names\" takes them from the names of the files: cat, dog")
    );
    let task = folder.source_of("train", r#", "labels": "names""#).unwrap();
    assert_eq!((task.classes(), task.splits().train), (vec!["cat".into(), "dog".into()], Some(16)));

    // Kaggle's other habit: names without extensions, labels under a name of their own.
    let list = |text: &str| {
        folder.write("labels.csv", text);
        format!(r#", "labels": {:?}"#, folder.path("labels.csv"))
    };
    let rows =
        |end: &str| (0..10).map(|i| format!("cat.{i}{end},boston_bull\ndog.{i}{end},dingo\n")).collect::<String>();
    let given = list(&format!("id,breed\n{}", rows("")));
    let task = folder.source_of("train", &given).unwrap();
    assert_eq!((task.classes(), task.splits().train), (vec!["boston_bull".into(), "dingo".into()], Some(16)));
    // From the root of the system on.
    let whole: String =
        rows(".jpg").lines().map(|row| format!("{}\n", folder.path(&format!("train/{row}")).display())).collect();
    let task = folder.source_of("train", &list(&whole)).unwrap();
    assert_eq!((task.classes(), task.splits().train), (vec!["boston_bull".into(), "dingo".into()], Some(16)));
    // File, label and split, without a head.
    let split = |i: usize| ["train", "val", "test"][i.saturating_sub(6).min(2)];
    let text: String =
        (0..10).map(|i| format!("train/cat.{i}.jpg\tc\t{0}\ntrain/dog.{i}.jpg\td\t{0}\n", split(i))).collect();
    let task = folder.source(&list(&text)).unwrap();
    assert_eq!((task.splits().train, task.splits().validation, task.splits().test), (Some(14), 2, 4));
    let audit = task.audit().unwrap();
    let reasons: Vec<_> = audit.ignored.iter().map(|kind| (kind.count, kind.kind.as_str())).collect();
    assert_eq!(reasons, [(10, ".jpg")], "{:?}", audit.ignored);

    let refused = |text: &str| folder.refused_of("train", &list(text));
    assert!(
        refused("file,label,split\ncat.0.jpg,cat,tarin\n")
            .contains("labels.csv, line 2: the split must be train, validation or test, and is 'tarin'")
    );
    assert!(
        refused("file,label\ncat.0.jpg,cat\ncat.0.jpg,dog\n").contains("line 3: cat.0.jpg stands in line 2 already")
    );
    assert!(refused("file,label\ncat.0.jpg,\n").contains("line 2: a file and a label are needed"));
    assert!(refused("a,b,c\n1,2,3\n").contains("its columns must be called file, label"));
    assert!(
        refused("file,label\nbird.jpg,bird\n")
            .contains("names no file of /photos/train: /photos/train/bird.jpg is not there")
    );
    let message = refused(&format!("file,label\n{}bird.jpg,dingo\n", rows(".jpg")));
    assert!(message.contains("1 of 21 images cannot be read\n/photos/train/bird.jpg: No such file"), "{message}");
}

#[test]
fn a_list_says_the_labels_of_a_split_without_folders() {
    const WNIDS: [&str; 3] = ["n01440764", "n01443537", "n01484850"];
    let folder = Folder::new();
    for i in 0..6 {
        WNIDS.iter().for_each(|wnid| folder.paint(&format!("train/{wnid}/{wnid}_{i}.JPEG")));
        folder.paint(&format!("val/ILSVRC2012_val_0000000{i}.JPEG"));
    }
    let of = [2, 0, 1, 0, 2, 1];
    let lines = |line: &dyn Fn(usize) -> String| (0..6).map(|i| line(i) + "\n").collect::<String>();
    let name = |i: usize| format!("ILSVRC2012_val_0000000{i}");
    let list = |text: String| {
        folder.write("list.txt", text);
        format!(r#", "labels": {:?}"#, folder.path("list.txt"))
    };
    // Kaggle's, in any order and with boxes; Caffe's; TensorFlow's, a label a line; paths.
    let kaggle = lines(&|i| format!("{},{wnid} 85 1 499 272 {wnid} 1 2 3 4 ", name(5 - i), wnid = WNIDS[of[5 - i]]));
    for text in [
        format!("ImageId,PredictionString\n{kaggle}"),
        lines(&|i| format!("{}.JPEG {}", name(i), of[i])),
        lines(&|i| WNIDS[of[i]].to_owned()),
        lines(&|i| format!("val/{}.JPEG\t{}\tval", name(i), WNIDS[of[i]])),
    ] {
        let given = list(text.clone());
        for keys in ["", r#", "train": "train", "validation": "val""#] {
            let task = folder.source(&(given.clone() + keys)).map_err(|error| format!("{error}\n{text}")).unwrap();
            assert_eq!((task.classes(), task.splits().validation), (WNIDS.map(String::from).to_vec(), 6));
            // Sorted by class, then by name.
            let all = task.load(Path::new(""), 100).unwrap();
            assert_eq!(all.validation.labels, [0, 0, 1, 1, 2, 2], "{text}");
            let audit = task.audit().unwrap();
            assert_eq!((audit.folders[1].part.as_str(), audit.folders[1].read), ("validation", 6));
            assert_eq!(
                audit.notes.iter().any(|note| note.contains("0 is n01440764")),
                text.contains(" 2\n"),
                "{audit:?}"
            );
        }
    }
    // Of a list of all images those in folders of classes keep theirs.
    let all =
        format!("train/n01440764/n01440764_0.JPEG,other\n{}", lines(&|i| format!("val/{}.JPEG,n01440764", name(i))));
    let task = folder.source(&list(all)).unwrap();
    assert_eq!((task.classes().len(), task.splits().validation), (3, 6));
    assert!(task.audit().unwrap().notes[0].contains("stand in a folder of their class"), "{:?}", task.audit());
    let refused = |text: String, keys: &str| folder.refused(&(list(text) + keys));
    // The devkit's ground truth.
    let devkit = refused(lines(&|i| (of[i] + 1).to_string()), "");
    assert!(devkit.contains("labels from 1 to 3, and nothing says which of the 3 classes"), "{devkit}");
    assert!(devkit.contains("meta.mat"), "{devkit}");
    assert!(refused("n01440764\n".into(), "").contains("has 1 labels and names no file, and there are 6 images"));
    let unknown = refused(lines(&|i| format!("{},n9", name(i))), "");
    assert!(unknown.contains("is of class n9, which train does not have"), "{unknown}");
    let other = refused(lines(&|i| format!("{}.JPEG,{},train", name(i), WNIDS[0])), "");
    assert!(other.contains("line 1: ") && other.contains("is of train here, and stands in the folder of validation"));
    assert!(refused("file,label\nnowhere,n01440764\n".into(), "").contains("names no file of /photos"));
    let one_less =
        refused(lines(&|i| if i < 5 { format!("{},{}", name(i), WNIDS[0]) } else { "gone,n01440764".into() }), "");
    assert!(one_less.contains("1 of 24 images cannot be read"), "{one_less}");
    assert!(refused(kaggle, r#", "train": "train""#).contains("there are none\nleave labels out, or train"));
    // Images that nobody labels are not a split.
    (0..4).for_each(|i| folder.paint(&format!("test/{i}.JPEG")));
    let given = list(lines(&|i| format!("{},{}", name(i), WNIDS[of[i]])));
    let task = folder.source(&given).unwrap();
    assert_eq!((task.splits().validation, task.splits().test), (6, 2));
    let note = "names no image of /photos/test: test images are held out instead";
    let root = folder.0.path().display().to_string();
    assert!(task.audit().unwrap().notes.iter().any(|said| said.replace(&root, "").contains(note)));
}

#[test]
fn the_splits_of_cub_200_are_not_passed_over() {
    let folder = Folder::new();
    let (mut images, mut split) = (String::new(), String::new());
    for i in 1..=12 {
        let name = format!("{:03}.Bird/Bird_{i:04}.jpg", i % 2 + 1);
        folder.paint(&format!("images/{name}"));
        images += &format!("{i} {name}\n");
        split += &format!("{i} {}\n", i % 3 % 2);
    }
    folder.write("images.txt", images);
    folder.write("train_test_split.txt", split);
    let message = folder.refused("");
    assert!(message.contains("says its splits in images.txt and train_test_split.txt, as CUB-200 does"), "{message}");
    assert!(folder.refused_of("images", "").contains("make a list of them"));
    // What it says to type works.
    let command = message.lines().find(|line| line.contains("paste")).unwrap();
    let command = command.replace("/photos", folder.path("").to_str().unwrap().trim_end_matches('/'));
    let done = std::process::Command::new("sh").args(["-c", &command]).current_dir(folder.0.path()).status().unwrap();
    assert!(done.success());
    let list = folder.0.path().join("labels.csv");
    let task = folder.source_of("images", &format!(r#", "labels": {list:?}, "validation": 1"#)).unwrap();
    assert_eq!((task.classes(), task.splits().test), (vec!["001.Bird".to_owned(), "002.Bird".to_owned()], 8));
}

#[test]
fn an_image_in_two_splits_or_classes_is_refused_dropped_or_kept() {
    let folder = Folder::new();
    for (split, count) in [("train", 6), ("val", 2), ("test", 2)] {
        for i in 0..count {
            folder.paint(&format!("{split}/a/{i}.png"));
            folder.paint(&format!("{split}/b/{i}.png"));
        }
    }
    let copy = |from: &str, to: &str| fs::copy(folder.path(from), folder.path(to)).map(drop).unwrap();
    copy("train/a/0.png", "train/a/again.png");
    assert_eq!(folder.source("").unwrap().audit().unwrap().duplicates.same, 1, "no harm done");
    copy("test/b/0.png", "train/b/leak.png");
    copy("val/a/0.png", "val/b/which.png");
    let message = folder.refused("");
    assert!(
        message.contains("the same image stands where it must not: 1 in several splits, 1 in several classes"),
        "{message}"
    );
    assert!(
        message.contains("/photos/train/b/leak.png: train, b: the same image as /photos/test/b/0.png (test, b)"),
        "{message}"
    );
    let kept = folder.source(r#", "duplicates": "keep""#).unwrap();
    assert_eq!((kept.splits().train, kept.splits().validation, kept.splits().test), (Some(14), 5, 4));
    let dropped = folder.source(r#", "duplicates": "drop""#).unwrap();
    assert_eq!((dropped.splits().train, dropped.splits().validation, dropped.splits().test), (Some(12), 3, 4));
    assert_eq!(dropped.audit().unwrap().duplicates.dropped, 4);
    let all = dropped.load(Path::new(""), 100).unwrap();
    assert_eq!(all.test.labels, [0, 0, 1, 1]);
    // The set without them is the set of files without them.
    for name in ["train/a/again.png", "train/b/leak.png", "val/a/0.png", "val/b/which.png"] {
        fs::remove_file(folder.path(name)).unwrap();
    }
    let clean = folder.source("").unwrap().load(Path::new(""), 100).unwrap();
    assert_eq!(clean, all);
}

#[test]
fn copies_of_a_training_image_are_not_held_out_of_it() {
    let folder = Folder::new();
    for i in 0..20 {
        folder.paint(&format!("a/{i}.png"));
        folder.paint(&format!("b/{i}.png"));
        if i < 6 {
            fs::copy(folder.path(&format!("a/{i}.png")), folder.path(&format!("a/{i} (1).png"))).unwrap();
        }
    }
    let all = folder.source(r#", "validation": 12, "test": 12"#).unwrap().load(Path::new(""), 100).unwrap();
    let images =
        |split: &Split| pixels(split).chunks(48).map(<[u8]>::to_vec).collect::<std::collections::BTreeSet<_>>();
    let (train, validation, test) = (images(&all.train), images(&all.validation), images(&all.test));
    assert!(train.is_disjoint(&validation) && train.is_disjoint(&test) && validation.is_disjoint(&test));
}

/// What a run of before there were these keys was resolved to; its id stays, and what it holds out.
#[test]
fn a_set_that_was_there_before_is_the_same_set() {
    let folder = Folder::new();
    for (class, count) in [("ant", 14), ("bee", 6)] {
        for i in 0..count {
            let shade = if class == "ant" { 10 } else { 200 } + i as u8;
            folder.save(&format!("{class}/{i}.png"), GrayImage::from_pixel(3, 5, image::Luma([shade])));
        }
    }
    folder.source(r#", "channels": 1"#).unwrap();
    let before =
        format!(r#"{{"channels":1,"content":"{BEFORE}","folder":null,"seed":0,"size":4,"test":5.0,"validation":0.1}}"#);
    let settings = serde_json::from_str(&before).unwrap();
    let (task, resolved) = parse_in::<ImageFolder>(&folder.0.path().join("cache"), "images", &settings).unwrap();
    assert_eq!(resolved["stratified"], false);
    let all = task.load(Path::new(""), 100).unwrap();
    let mut shades: Vec<(i64, u8)> =
        all.train.labels.iter().copied().zip(pixels(&all.train).chunks(16).map(|image| image[0])).collect();
    shades.sort_by_key(|(label, _)| *label);
    assert_eq!(shades.iter().map(|(_, shade)| *shade).collect::<Vec<_>>(), BEFORE_TRAIN);
    let id = |settings: &crate::run::Settings| {
        let config = serde_json::json!({
            "model": {"name": "mlp", "settings": {}},
            "task": {"name": "images", "settings": settings},
            "examples": 1, "steps": 1, "seed": 0,
            "train": {"batch": 1, "lr": 0.1, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.9, "epsilon": 0.1, "clip": null,
                "warmup": 0, "schedule": "constant", "evals": 1},
        });
        serde_json::from_value::<crate::run::RunConfig>(config).unwrap().id()
    };
    assert_eq!(id(&resolved), id(&settings));
}

/// crossover task show images:photos --set size=4 --set channels=1 --set test=5 --set validation=0.1 --json -o s.svg
/// of commit 65b365d: content, and the shades of the training images, which the sheet has by class.
const BEFORE: &str = "3777f5cd4543f43b";
const BEFORE_TRAIN: [u8; 13] = [12, 17, 16, 20, 13, 22, 15, 204, 201, 200, 205, 203, 202];
