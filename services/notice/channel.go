package notice

import "fmt"

// Channel is a way to reach a person. Numbers are stored and never change.
type Channel uint8

// The channels. None marks the row of a person who is not written to.
const (
	None  Channel = 0
	Email Channel = 1
	SMS   Channel = 2
	Post  Channel = 3
	Fax   Channel = 4
	Voice Channel = 5
	Page  Channel = 6
)

var channelNames = [...]string{"none", "email", "sms", "post", "fax", "voice", "page"}

// String names the channel as orders and organisations do.
func (c Channel) String() string {
	if int(c) < len(channelNames) {
		return channelNames[c]
	}
	return fmt.Sprintf("channel %d", uint8(c))
}

// channelNamed returns the channel of a name.
func channelNamed(name string) (Channel, bool) {
	for i, n := range channelNames {
		if n == name && i > 0 {
			return Channel(i), true
		}
	}
	return None, false
}

// Text returns the channel under which its texts are written: a fax carries the letter.
func (c Channel) Text() string {
	switch c {
	case Post, Fax:
		return "letter"
	case Voice:
		return "sms"
	}
	return c.String()
}

// sendable are the channels on which one person is written to. A public page
// reaches nobody in particular, so it is no rung of a ladder.
// Voice is none either: a call is in doubt the moment it is lost, it reaches
// whoever picks up, and nothing here speaks.
var sendable = []Channel{Email, SMS, Post, Fax}

// onPaper reports whether a channel hands files over, of which returns are taken back.
func onPaper(ch Channel) bool { return ch == Post || ch == Fax }

// serves reports whether this installation can send on a channel.
func (s *Service) serves(ch Channel) bool { return len(s.accountsOn(ch)) > 0 }
