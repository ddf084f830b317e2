package wire

import "time"

// Weight is the answer of a scale at rest.
type Weight struct {
	Weight string    `json:"weight" doc:"Decimal text"`
	Unit   string    `json:"unit" enum:"kg,g,lb,oz"`
	At     time.Time `json:"at"`
}

// DisplayRequest is what a customer display shows; what is missing is blank.
type DisplayRequest struct {
	Lines []string `json:"lines" maxItems:"2" nullable:"false" doc:"At most two lines of twenty characters"`
}
