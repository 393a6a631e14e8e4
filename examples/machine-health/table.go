package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

const minuteLayout = "2006-01-02 15:04"

// episode is a row of alarms of which none is further than a day from the next.
type episode struct {
	rose, last time.Time // when the first and the last hour of alarm ended
	hours      int       // of alarm
	peak       float64   // the level furthest from zero
}

// episodes puts hours of alarm together as the alarms themselves say.
func episodes(hours []hourResult) []episode {
	var all []episode
	for _, h := range hours {
		if h.alarm == nil || !h.alarm.Raised {
			continue
		}
		if n := len(all); n == 0 || !all[n-1].rose.Equal(h.alarm.Rose) {
			all = append(all, episode{rose: h.alarm.Rose})
		}
		e := &all[len(all)-1]
		e.last = h.to
		e.hours++
		if level := h.alarm.Level; level*level > e.peak*e.peak {
			e.peak = level
		}
	}
	return all
}

// inside says whether an hour of alarm ended in the labelled time.
func (l label) inside(hours []hourResult) bool {
	for _, h := range hours {
		if h.alarm != nil && h.alarm.Raised && !h.to.Before(l.from) && !h.to.After(l.to) {
			return true
		}
	}
	return false
}

// overlaps says whether the episode and the labelled time have a moment in common.
func (e episode) overlaps(l label) bool { return !e.rose.After(l.to) && !l.from.After(e.last) }

// show prints what came of each recording.
func show(out io.Writer, what string, recordings []*recording, found map[string]*results, known labels) error {
	var page bytes.Buffer
	for i, r := range recordings {
		if i > 0 {
			page.WriteString("\n")
		}
		of := found[r.asset]
		showHeader(&page, r, of)
		if what == "hours" {
			showHours(&page, of.hours)
		}
		if what != "alarms" {
			showDays(&page, of.days)
		}
		labelled, ok := known[r.asset]
		showAlarms(&page, of.hours, labelled, ok)
		if known != nil && !ok {
			fmt.Fprintf(&page, "  the label file does not name %s.csv\n", r.asset)
		}
	}
	_, err := page.WriteTo(out)
	return err
}

func showHeader(out io.Writer, r *recording, of *results) {
	fmt.Fprintf(out, "%s: %d readings in %d hours of %d days, %s to %s\n", r.asset, len(r.readings), len(of.hours), len(of.days),
		r.first().Format(minuteLayout), r.last().Format(minuteLayout))
	if r.back > 0 || r.again > 0 {
		fmt.Fprintf(out, "  in the file, time goes back %s and %d readings share their time with another; all count\n", times(r.back), r.again)
	}
	if n := unjudged(of.hours); n > 0 {
		fmt.Fprintf(out, "  %d hours had too little before them to be compared with\n", n)
	}
}

func unjudged(hours []hourResult) (n int) {
	for _, h := range hours {
		if h.alarm == nil {
			n++
		}
	}
	return n
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// showHours prints results to the last bit.
func showHours(out io.Writer, hours []hourResult) {
	fmt.Fprintln(out, "  hour,count,mean,std,min,max,score,level")
	for _, h := range hours {
		score, level := "", ""
		if h.score != nil {
			score = strconv.FormatFloat(float64(*h.score), 'g', -1, 32)
		}
		if h.alarm != nil {
			level = exact(h.alarm.Level)
		}
		fmt.Fprintf(out, "  %s,%d,%s,%s,%s,%s,%s,%s\n", h.from.Format(minuteLayout), h.Count,
			exact(h.Mean), exact(h.Std), exact(h.Min), exact(h.Max), score, level)
	}
}

func exact(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func showDays(out io.Writer, days []dayResult) {
	fmt.Fprintln(out, "  day         hours        mean         std         min         max   extreme score   alarm hours")
	for _, d := range days {
		extreme := "-"
		if d.Scores > 0 {
			extreme = fmt.Sprintf("%+.1f", d.Extreme)
		}
		fmt.Fprintf(out, "  %s%7d%12.2f%12.2f%12.2f%12.2f%16s%14d\n", d.from.Format(time.DateOnly), d.Hours,
			d.Mean, d.Std, d.Min, d.Max, extreme, d.Alarms)
	}
}

func showAlarms(out io.Writer, hours []hourResult, known []label, labelled bool) {
	all := episodes(hours)
	if len(all) == 0 {
		fmt.Fprintln(out, "  no alarms")
	} else {
		fmt.Fprint(out, "  alarm rose         until              alarm hours    level", ifLabelled(labelled, "   labelled time"), "\n")
	}
	for _, e := range all {
		fmt.Fprintf(out, "  %s   %s%14d%9s%s\n", e.rose.Format(minuteLayout), e.last.Format(minuteLayout), e.hours,
			fmt.Sprintf("%+.1f", e.peak), ifLabelled(labelled, "   "+beside(e, known)))
	}
	if labelled {
		showVerdict(out, hours, known)
	}
}

func ifLabelled(labelled bool, text string) string {
	if labelled {
		return text
	}
	return ""
}

// beside says which labels an episode overlaps.
func beside(e episode, known []label) string {
	var texts []string
	for _, l := range known {
		if e.overlaps(l) {
			texts = append(texts, l.String())
		}
	}
	if texts == nil {
		return "none"
	}
	return strings.Join(texts, ", ")
}

func showVerdict(out io.Writer, hours []hourResult, known []label) {
	for _, l := range known {
		if !l.inside(hours) {
			fmt.Fprintf(out, "  no alarm in the labelled time %v\n", l)
		}
	}
	hit, wrong := verdict(hours, known)
	fmt.Fprintf(out, "  labelled times with an alarm inside: %d of %d; false episodes of alarm: %d of %d\n",
		hit, len(known), wrong, len(episodes(hours)))
}

// verdict counts the labels that have an alarm inside, and the episodes that overlap no label.
func verdict(hours []hourResult, known []label) (hit, wrong int) {
	for _, l := range known {
		if l.inside(hours) {
			hit++
		}
	}
	for _, e := range episodes(hours) {
		if !slices.ContainsFunc(known, e.overlaps) {
			wrong++
		}
	}
	return hit, wrong
}
