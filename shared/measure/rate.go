package measure

import "fmt"

// The bounds of a rate of calls or packets that a person asks for, per second.
const (
	LeastRate = 0.001
	MostRate  = 10_000_000
)

// BadRate says that a rate is neither 0, which means none was asked for, nor from least to MostRate: NaN and infinity are not.
func BadRate(perSecond, least float64) bool {
	return !(perSecond == 0 || perSecond >= least && perSecond <= MostRate)
}

// RateText tells people what a rate of something may be.
func RateText(of string, least float64) string {
	return fmt.Sprintf("a rate of %s is 0, or %g to %d a second", of, least, MostRate)
}
