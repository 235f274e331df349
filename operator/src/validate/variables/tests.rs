use super::*;

#[test]
fn the_last_flag_counts() {
    for (words, expected) in [
        ("run -config x", Variables::Kept),
        ("-expandEnv", Variables::Expanded),
        ("run --expandEnv -config x", Variables::Expanded),
        ("-expandEnv=true", Variables::Expanded),
        ("-expandEnv=1", Variables::Expanded),
        ("-expandEnv=false", Variables::Kept),
        ("-expandEnv -expandEnv=0", Variables::Kept),
        ("-expandEnv=F --expandEnv=T", Variables::Expanded),
        ("-expandEnvironment", Variables::Kept),
        ("expandEnv", Variables::Kept),
        ("-- -expandEnv", Variables::Kept),
    ] {
        assert_eq!(of_arguments(words.split(' ')), expected, "{words}");
    }
}
