package conf

import (
	"sort"
	"strings"
)

// nearest returns the valid name closest to a wrong one, or "" when none is close enough to be worth a hint: more than
// a third of the longer name differs.
func nearest(name string, valid []string) string {
	sort.Strings(valid)
	best, bestDistance := "", -1
	lower := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	for _, v := range valid {
		if d := editDistance(lower, strings.ToLower(v)); bestDistance < 0 || d < bestDistance {
			best, bestDistance = v, d
		}
	}
	if bestDistance < 0 || 3*bestDistance > max(len(name), len(best)) {
		return ""
	}
	return best
}

// editDistance counts the insertions, deletions, substitutions and swaps of neighbours between two names.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
