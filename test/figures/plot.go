package main

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// chart is one plot: bars in groups, a bar of each series in each group.
type chart struct {
	File    string // name of the SVG file
	Title   string
	Unit    string
	Section string
	Groups  []string
	Series  []series
}

// series are the bars of one colour.
type series struct {
	Name    string
	Figures []string // of the section, one for each group; "" is none
}

// charts are those of docs/performance.md.
var charts = []chart{
	{
		File: "tcp.svg", Title: "One TCP flow through one session, in a guest, the client on kernel PPTP", Unit: "Mbit/s", Section: "kernel",
		Groups: []string{"MPPE-128, up", "MPPE-128, down", "in clear, up", "in clear, down"},
		Series: beside("MPPE-128: TCP up", "MPPE-128: TCP down", "in clear: TCP up", "in clear: TCP down"),
	},
	{
		File: "packets.svg", Title: "UDP of 64 octets through one session with MPPE-128, received", Unit: "thousand packets/s", Section: "kernel",
		Groups: []string{"up", "down"},
		Series: beside("MPPE-128: "+small("up"), "MPPE-128: "+small("down")),
	},
	{
		File: "setup-guest.svg", Title: "Set-up of calls with MS-CHAPv2 and MPPE-128, in the guest", Unit: "calls/s", Section: "kernel",
		Groups: []string{"1 at once", "16 at once", "128 at once"},
		Series: []series{
			{"pptpd", []string{"pptpd: " + setUp(1), "pptpd: " + setUp(16), "pptpd: " + setUp(128)}},
			{"pns", []string{"pns: " + setUp(1), "pns: " + setUp(16), "pns: " + setUp(128)}},
		},
	},
	{
		File: "setup.svg", Title: "Set-up of calls with MS-CHAPv2 and MPPE-128, clients on the same processors", Unit: "calls/s", Section: "sessions",
		Groups: []string{"1 at once", "16 at once", "128 at once", "1000 at once"},
		Series: []series{{"pns", []string{setUp(1), setUp(16), setUp(128), setUp(1000)}}},
	},
}

// beside is all servers of the guest with the same figures.
func beside(figures ...string) []series {
	all := []series{{Name: "pptpd"}, {Name: kernelsOwn}, {Name: "pns"}}
	for i := range all {
		for _, f := range figures {
			all[i].Figures = append(all[i].Figures, all[i].Name+", "+f)
		}
	}
	return all
}

// colours are those of the series by name, the same in all plots; they differ in brightness too.
var colours = map[string]color.Color{
	"pptpd": color.RGBA{0xf2, 0xa3, 0x4a, 0xff}, kernelsOwn: color.RGBA{0x6c, 0xb0, 0x8a, 0xff}, "pns": color.RGBA{0x1f, 0x5f, 0x9e, 0xff},
}

const (
	fontName   = "Liberation Sans" // has the widths of Arial
	barWidth   = 9                 // points
	chartWidth = 18 * vg.Centimeter
)

// drawAll writes the plots of what was measured into a directory.
func (t *table) drawAll(dir string, all []chart) error {
	for _, c := range all {
		if !t.has(c) {
			continue
		}
		file := filepath.Join(dir, c.File)
		if err := t.draw(c, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// has says whether any bar of a plot was measured.
func (t *table) has(c chart) bool {
	for _, s := range c.Series {
		for _, name := range s.Figures {
			if _, ok := t.find(c.Section, name); ok {
				return true
			}
		}
	}
	return false
}

// draw writes one plot: the first group is at the top, and in it the first series.
func (t *table) draw(c chart, file string) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text = c.Title, c.Unit
	for _, s := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		s.Font.Variant, s.Font.Size = "Sans", vg.Points(9)
	}
	p.Title.Padding, p.Legend.Top, p.Legend.Padding = vg.Points(8), true, vg.Points(2)
	p.X.Min = 0
	groups := len(c.Groups)
	for i, s := range c.Series {
		values, labels := make(plotter.Values, groups), make([]string, groups)
		points := make(plotter.XYs, groups)
		for g, name := range s.Figures {
			at := groups - 1 - g
			labels[at] = "not measured"
			if f, ok := t.find(c.Section, name); ok {
				values[at], labels[at] = f.Value, digits(f.Value)
			}
			points[at] = plotter.XY{X: values[at], Y: float64(at)}
		}
		bars, err := plotter.NewBarChart(values, vg.Points(barWidth))
		if err != nil {
			return err
		}
		bars.Horizontal, bars.LineStyle.Width, bars.Color = true, 0, colours[s.Name]
		bars.Offset = vg.Points(barWidth+1) * (vg.Length(len(c.Series)-1)/2 - vg.Length(i))
		beside, err := plotter.NewLabels(plotter.XYLabels{XYs: points, Labels: labels})
		if err != nil {
			return err
		}
		for i := range beside.TextStyle {
			beside.TextStyle[i].Font.Variant, beside.TextStyle[i].Font.Size = "Sans", vg.Points(8)
		}
		beside.Offset.X, beside.Offset.Y = vg.Points(3), bars.Offset-vg.Points(3)
		p.Add(bars, beside)
		if len(c.Series) > 1 {
			p.Legend.Add(s.Name, bars)
		}
	}
	names := make([]string, groups)
	for g, name := range c.Groups {
		names[groups-1-g] = name
	}
	p.NominalY(names...)
	p.X.Max *= 1.12 // room for the label of the longest bar
	height := vg.Points(float64(groups*(len(c.Series)*(barWidth+1)+14) + 60))
	to, err := p.WriterTo(chartWidth, height, "svg")
	if err != nil {
		return err
	}
	var octets bytes.Buffer
	if _, err := to.WriteTo(&octets); err != nil {
		return err
	}
	return os.WriteFile(file, bytes.ReplaceAll(octets.Bytes(), []byte("font-family:"+fontName), []byte("font-family:"+fontName+",Arial,Helvetica,sans-serif")), 0o644)
}
