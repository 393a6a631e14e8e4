package stubs

import (
	"github.com/orca-telemetry/orca/internal/orca"
)

// sample is a registry with what is easy and what is awkward.
func sample() []Processor {
	lap := orca.WindowType{
		ID: orca.WindowTypeID{Name: "Lap", Version: "1.0.0"}, Description: "One lap of 5.891 km",
		Fields: []orca.MetadataField{
			{Name: "car", Description: "Its number", Filter: true},
			{Name: "driver's name", NoStore: true},
			{Name: "plain"},
		},
	}
	define := func(processor, name, version string, result orca.ResultType, description string, on orca.WindowType) orca.Algorithm {
		return orca.Algorithm{
			ID: orca.AlgorithmID{Processor: processor, Name: name, Version: version}, ResultType: result, Description: description, WindowType: on,
		}
	}
	bare := orca.WindowType{ID: lap.ID}
	second := orca.WindowType{ID: orca.WindowTypeID{Name: "Lap", Version: "2.0.0"}, Description: awkward}
	class := orca.WindowType{ID: orca.WindowTypeID{Name: "Class", Version: "1.0.0"}, Description: "A word of two languages"}
	odd := orca.WindowType{ID: orca.WindowTypeID{Name: "odd name", Version: "1.0.0"}}
	return []Processor{
		{Name: "racing", Project: "track", Algorithms: []orca.Algorithm{
			define("racing", "Speed", "1.0.0", orca.ResultValue, "The average speed, in m/s.", bare),
			define("racing", "Trace", "1.0.0", orca.ResultArray, "Speeds,\none a second.\n\n  The first is that at the line.\n", lap),
			define("racing", "Report", "1.0.0", orca.ResultStruct, "", lap),
			define("racing", "Done", "1.0.0", orca.ResultNone, awkward, lap),
			define("racing", "Novel", "1.0.0", 0, "A result of a type that comes some day", lap),
		}},
		{Name: "racing", Algorithms: []orca.Algorithm{ // another runtime
			define("racing", "Speed", "2.10.0", orca.ResultArray, "The speed of each wheel.", second),
		}},
		{Name: "pit-wall", Project: "track", Algorithms: []orca.Algorithm{
			define("pit-wall", "Speed", "1.0.0", orca.ResultValue, "The same name in another processor", lap),
			define("pit-wall", "Lambda", "1.0.0", orca.ResultValue, "A word of Python", class),
			define("pit-wall", "Delete", "1.0.0", orca.ResultValue, "A word of TypeScript", class),
			define("pit-wall", "List", "1.0.0", orca.ResultArray, "A name that Python needs itself", class),
			define("pit-wall", "Orca", "1.0.0", orca.ResultValue, "What the modules import", class),
			define("pit-wall", "Any", "1.0.0", orca.ResultStruct, "", class),
			define("pit-wall", "ANY", "1.0.0", orca.ResultStruct, "", class),
			define("pit-wall", "HTTPRate", "1.0.0", orca.ResultValue, "", class),
			define("pit-wall", "HttpRate", "1.0.0", orca.ResultValue, "", class),
			define("pit-wall", "lap speed", "1.0.0", orca.ResultValue, "It cannot be named", class),
			define("pit-wall", "Speed", "1.0", orca.ResultValue, "It cannot be named either", class),
		}},
		{Name: "pit_wall", Algorithms: []orca.Algorithm{define("pit_wall", "Speed", "1.0.0", orca.ResultValue, "", lap)}},
		{Name: "windows", Algorithms: []orca.Algorithm{define("windows", "Open", "1.0.0", orca.ResultValue, "", lap)}},
		{Name: "import", Algorithms: []orca.Algorithm{define("import", "Rows", "1.0.0", orca.ResultValue, "", lap)}},
		{Name: "3D Printer", Algorithms: []orca.Algorithm{define("3D Printer", "Layers", "1.0.0", orca.ResultValue, "", odd)}},
		{Name: "日本", Algorithms: []orca.Algorithm{define("日本", "Kaizen", "1.0.0", orca.ResultValue, "", lap)}},
		{Name: `"quoted\`, Algorithms: []orca.Algorithm{define(`"quoted\`, "Said", "1.0.0", orca.ResultValue, "", lap)}},
		{Name: "nameless", Algorithms: []orca.Algorithm{define("nameless", "no name", "1.0.0", orca.ResultValue, "", lap)}},
	}
}

// awkward is text that would end a comment or a literal, or hide what stands behind it.
const awkward = "Ends */ \"\"\" ``` ${x} \\ // \u202e reversed\x00\r\n# 'and\" then\u2028some \"quoted\""
