// Package category is the vocabulary of personal data: 31 categories, each a
// bit in a Set, written to people and files as keys of the Fides taxonomy
// (fideslang 3.1, CC BY 4.0) and our extensions to it.
//
// A Set is what was exposed of one person. Children's data is not a category
// but the person's age class; whether data were encrypted is a property of the
// exposure, not of the data.
package category

import (
	"fmt"
	"math/bits"
	"strings"
)

// Set is a set of categories, one bit each; bit numbers are stored and never change.
type Set uint32

// Category is one kind of personal data.
type Category struct {
	Bit uint8
	// Code is the short name used in events and rules.
	Code string
	// Keys are the Fides keys that mean it; the first is the one we write.
	Keys []string
	// Label is the plain English name.
	Label string
	// Svenska is the plain Swedish name.
	Svenska string
}

// All lists every category in order of its bit.
func All() []Category { return table[:] }

var table = [...]Category{
	{0, "name", []string{"user.name"}, "name", "namn"},
	{1, "postal_address", []string{"user.contact.address"}, "postal address", "postadress"},
	{2, "email", []string{"user.contact.email"}, "email address", "e-postadress"},
	{3, "phone", []string{"user.contact.phone_number"}, "phone number", "telefonnummer"},
	{4, "date_of_birth", []string{"user.demographic.date_of_birth"}, "date of birth", "födelsedatum"},
	{5, "demographics", []string{"user.demographic"}, "personal details such as gender or nationality", "personuppgifter som kön eller medborgarskap"},
	{6, "username", []string{"user.account.username"}, "username", "användarnamn"},
	{7, "password", []string{"user.authorization.password"}, "password", "lösenord"},
	{8, "security_answer", []string{"user.authorization.security_question"}, "security questions and answers", "säkerhetsfrågor och svar"},
	{9, "session_or_mfa", []string{"user.authorization.credentials"}, "sign-in tokens", "inloggningsnycklar"},
	{10, "payment_card", []string{"user.financial.credit_card"}, "payment card number", "betalkortsnummer"},
	{11, "payment_access_code", []string{"user.financial.credit_card.security_code"}, "payment card security code", "betalkortets säkerhetskod"},
	{12, "bank_account", []string{"user.financial.bank_account"}, "bank account number", "bankkontonummer"},
	{13, "financial_other", []string{"user.financial"}, "other financial information", "annan ekonomisk information"},
	{14, "purchase_history", []string{"user.behavior.purchase_history"}, "purchase history", "köphistorik"},
	{15, "national_id", []string{"user.government_id.national_identification_number", "user.government_id"}, "national identity or tax number", "personnummer eller skattenummer"},
	{16, "driving_licence", []string{"user.government_id.drivers_license_number"}, "driving licence number", "körkortsnummer"},
	{17, "passport_or_immigration", []string{"user.government_id.passport_number", "user.government_id.immigration"}, "passport or immigration document", "pass eller migrationshandling"},
	{18, "precise_location", []string{"user.location.precise", "user.location"}, "precise location", "exakt plats"},
	{19, "online_identifier", []string{"user.device", "user.unique_id"}, "device or online identifiers", "enhets- eller nätidentifierare"},
	{20, "behaviour", []string{"user.behavior", "user.telemetry"}, "usage and browsing information", "uppgifter om användning"},
	{21, "communications_content", []string{"user.content.private", "user.content"}, "content of messages", "innehåll i meddelanden"},
	{22, "photo_video_voice", []string{"user.content.self_image"}, "photos, video or voice recordings", "bilder, video eller röstinspelningar"},
	{23, "biometric", []string{"user.biometric", "user.authorization.biometric"}, "biometric data", "biometriska uppgifter"},
	{24, "health", []string{"user.health_and_medical"}, "health information", "hälsouppgifter"},
	{25, "health_insurance_id", []string{"user.health_and_medical.insurance_beneficiary_id"}, "health insurance number", "sjukförsäkringsnummer"},
	{26, "genetic", []string{"user.health_and_medical.genetic"}, "genetic data", "genetiska uppgifter"},
	{27, "special_belief_or_origin", []string{"user.demographic.race_ethnicity", "user.demographic.religious_belief", "user.demographic.political_opinion", "user.demographic.sexual_orientation", "user.demographic.union_membership"}, "ethnic origin, beliefs, union membership or sexual life", "etniskt ursprung, övertygelse, fackligt medlemskap eller sexualliv"},
	{28, "criminal_record", []string{"user.criminal_history"}, "criminal record", "uppgifter om brott"},
	{29, "employment", []string{"user.workplace", "user.job_title"}, "employment information", "uppgifter om anställning"},
	{30, "education", []string{"user.education"}, "education", "utbildning"},
	{31, "other", []string{"user"}, "other personal information", "andra personuppgifter"},
}

// Parse returns the category of a Fides key or of one of our codes. A key that
// nobody knows maps by its longest known prefix, so "user.financial.loan" is
// financial_other; a key outside "user" is an error.
func Parse(key string) (Set, error) {
	key = strings.TrimSpace(key)
	for _, c := range table {
		if c.Code == key {
			return 1 << c.Bit, nil
		}
	}
	best, length := -1, 0
	for i, c := range table {
		for _, k := range c.Keys {
			if (key == k || strings.HasPrefix(key, k+".")) && len(k) > length {
				best, length = i, len(k)
			}
		}
	}
	if best < 0 {
		return 0, fmt.Errorf("category %q is neither a Fides key under \"user\" nor one of our codes", key)
	}
	return 1 << table[best].Bit, nil
}

// ParseAll returns the union of the categories of several keys.
func ParseAll(keys []string) (Set, error) {
	var s Set
	for _, k := range keys {
		c, err := Parse(k)
		if err != nil {
			return 0, err
		}
		s |= c
	}
	return s, nil
}

// Has reports whether all categories of t are in s.
func (s Set) Has(t Set) bool { return s&t == t }

// Len returns the number of categories in s.
func (s Set) Len() int { return bits.OnesCount32(uint32(s)) }

// Each calls f for every category of s in order of its bit.
func (s Set) Each(f func(Category)) {
	for s != 0 {
		b := bits.TrailingZeros32(uint32(s))
		f(table[b])
		s &= s - 1
	}
}

// Codes returns the codes of s in order of their bits.
func (s Set) Codes() []string {
	codes := make([]string, 0, s.Len())
	s.Each(func(c Category) { codes = append(codes, c.Code) })
	return codes
}

// Keys returns the Fides keys of s in order of their bits.
func (s Set) Keys() []string {
	keys := make([]string, 0, s.Len())
	s.Each(func(c Category) { keys = append(keys, c.Keys[0]) })
	return keys
}

// String returns the codes joined by commas.
func (s Set) String() string { return strings.Join(s.Codes(), ",") }
