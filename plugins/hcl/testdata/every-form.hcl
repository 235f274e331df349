// Every form that HCL 1 has.
bare = "string"
"quoted key" = "a \"quoted\" word, a \\, a tab \t, \x41 \101 \u00e9 \U0001F600"
dotted.and-dashed_key = 1
interpolated = "before ${upper("x { } ${y}")} after"
plain_dollar = "$x $${y} 100$"
integers = [0, 42, -7, 0x1F, -0xff, 017]
floats = [1.5, -0.25, 1e3, 2.5E-3, .5, 1., 0.0, 05.5]
booleans = [true, false]
mixed = [1, "two", { three = 3 }, [4, 5], ]
odd_commas = [, 1,, 2, ]
empty_list = []
empty_object = {}
on_the_next_line =
  "value"
heredoc = <<EOF
  as it is
    "quotes" and ${interpolation}
EOF
indented = <<-END
    one
      two
    END
kept = <<-END
  less
      than the closing line
    END
list_with_heredoc = [<<X
one
X
, "two"]
block {
  a = 1, b = 2,
  c = { d = "e", f = { g = [] } }
}
block "label" {}
block "label" "more" { x = 1 }
block bare "mixed" { y = 2 } z = 3 /* one line */ w = 4 # end
numbers = 1e5 glued = 0x1glued2 = 2
/* the last one, 
   without a line end behind it */
last { }