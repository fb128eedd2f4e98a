package synthetic

// country is a place of residence with its languages, names and phones.
type country struct {
	code, region string
	weight       int
	language     string
	names        int // index into the name lists
	cities       []string
	phone        func(r source) string
}

// source is what random choices are drawn from.
type source interface {
	IntN(n int) int
	Uint64() uint64
}

// Name lists by language family: ordinary given and family names.
var given = [...][]string{
	0: {"Oliver", "Amelia", "George", "Isla", "Harry", "Ava", "Noah", "Mia", "Jack", "Ivy", "Leo", "Freya", "Oscar", "Lily", "Arthur", "Grace", "Theo", "Ella", "Alfie", "Ruby"},
	1: {"Åsa", "Björn", "Märta", "Göran", "Elsa", "Nils", "Karin", "Håkan", "Linnéa", "Örjan", "Astrid", "Sten", "Maja", "Åke", "Alva", "Pär", "Ebba", "Östen", "Saga", "Kjell"},
	2: {"Lukas", "Hannah", "Jürgen", "Käthe", "Felix", "Sophie", "Günther", "Marie", "Jonas", "Lena", "Matthias", "Ursula"},
	3: {"Léa", "Hugo", "Chloé", "Gaspard", "Élise", "Théo", "Zoé", "François", "Inès", "Benoît", "Manon", "Jérôme"},
	4: {"Lucía", "Mateo", "José", "María", "Íñigo", "Sofía", "Álvaro", "Carmen", "João", "Inês", "Tomás", "Leonor"},
	5: {"Giulia", "Lorenzo", "Chiara", "Matteo", "Nicolò", "Alice", "Davide", "Elena"},
	6: {"Zofia", "Jakub", "Łucja", "Stanisław", "Małgorzata", "Wojciech", "Agnieszka", "Kamil", "Jiří", "Tereza"},
	7: {"Aino", "Eetu", "Helmi", "Väinö", "Sisu", "Päivi", "Lauri", "Mart", "Liis", "Jānis", "Rūta"},
	8: {"Sanne", "Daan", "Lotte", "Bram", "Femke", "Thijs", "Mette", "Søren", "Freja", "Rasmus", "Ingrid", "Håvard"},
	9: {"Thandi", "Sipho", "Lerato", "Johan", "Naledi", "Priya", "Arjun", "Wei", "Mei", "Aroha", "Yuki", "Haruto"},
}

var family = [...][]string{
	0: {"Smith", "Jones", "Taylor", "Brown", "Walker", "Wright", "O'Neill", "Hughes", "Green", "Hall", "Wood", "Clarke", "Turner", "Hill", "Moore", "Baker", "Shah", "Khan", "Okafor", "Fletcher-Hay"},
	1: {"Lindström", "Öberg", "Åkesson", "Sjögren", "Nyström", "Bäck", "Ek", "Hägg", "Löfgren", "Åberg", "Wikström", "Sandås"},
	2: {"Müller", "Schäfer", "Weiß", "Krüger", "Vogel", "Huber", "Fuchs", "Jäger", "Böhm", "Lang"},
	3: {"Lefèvre", "Moreau", "Girard", "Dubois", "Chevalier", "Noël", "Perrin", "Gaudin", "d'Aubigny", "Marchand"},
	4: {"García", "Muñoz", "Ibáñez", "Vega", "Núñez", "Silva", "Fonseca", "Araújo", "Prado", "Gonçalves"},
	5: {"Rossi", "Bianchi", "Gallo", "Conti", "D'Angelo", "Ferrara", "Greco", "Marini"},
	6: {"Kowalska", "Wójcik", "Zieliński", "Dąbrowski", "Nowak", "Szymańska", "Novák", "Dvořáková"},
	7: {"Mäkinen", "Niemi", "Hämäläinen", "Korhonen", "Tamm", "Kask", "Ozols", "Kazlauskas"},
	8: {"de Vries", "Jansen", "van den Berg", "Visser", "Sørensen", "Kjær", "Nygård", "Hansen"},
	9: {"Dlamini", "Nkosi", "van Wyk", "Patel", "Iyer", "Chen", "Ngata", "Sato", "Botha", "Tan"},
}

var streets = []string{"Sample Street", "Harbour Walk", "Made-up Lane", "Nowhere Road", "Fable Terrace", "Paper Mill Yard", "Example Avenue", "Storyline Close"}

// places are the countries of the generator: thirty and more jurisdictions.
var places = []country{
	{"GB", "", 30, "en-GB", 0, []string{"Exampleton", "Fabled-on-Sea", "Upper Sample"}, british},
	{"SE", "", 24, "sv", 1, []string{"Påhittsköping", "Sagoboda", "Övre Exempel"}, swedish},
	{"AU", "NSW", 8, "en-AU", 0, []string{"Sampleville"}, australian},
	{"AU", "VIC", 6, "en-AU", 0, []string{"Port Example"}, australian},
	{"US", "CA", 10, "en-US", 0, []string{"Exampleton"}, american},
	{"US", "NY", 7, "en-US", 0, []string{"Sample Falls"}, american},
	{"US", "TX", 7, "en-US", 0, []string{"Fable Creek"}, american},
	{"US", "WA", 3, "en-US", 0, []string{"Port Sample"}, american},
	{"CA", "ON", 4, "en-CA", 0, []string{"Sampleford"}, american},
	{"CA", "QC", 2, "fr-CA", 3, []string{"Exempleville"}, american},
	{"DE", "", 14, "de", 2, []string{"Musterstadt", "Beispielhausen"}, none},
	{"AT", "", 4, "de-AT", 2, []string{"Musterdorf"}, none},
	{"CH", "", 3, "de-CH", 2, []string{"Musterlingen"}, none},
	{"FR", "", 12, "fr", 3, []string{"Exempleville-sur-Mer"}, french},
	{"BE", "", 4, "nl-BE", 8, []string{"Voorbeeldgem"}, none},
	{"NL", "", 7, "nl", 8, []string{"Voorbeeldstad"}, none},
	{"IE", "", 5, "en-IE", 0, []string{"Ballysample"}, none},
	{"DK", "", 6, "da", 8, []string{"Eksempelby"}, none},
	{"NO", "", 6, "nb", 8, []string{"Eksempelvik"}, none},
	{"FI", "", 6, "fi", 7, []string{"Esimerkkilä"}, none},
	{"EE", "", 1, "et", 7, []string{"Näideküla"}, none},
	{"LV", "", 1, "lv", 7, []string{"Piemērpils"}, none},
	{"LT", "", 1, "lt", 7, []string{"Pavyzdžiai"}, none},
	{"PL", "", 8, "pl", 6, []string{"Przykładowo"}, none},
	{"CZ", "", 3, "cs", 6, []string{"Příkladov"}, none},
	{"ES", "", 8, "es", 4, []string{"Villaejemplo"}, none},
	{"PT", "", 4, "pt-PT", 4, []string{"Vila Exemplo"}, none},
	{"BR", "", 3, "pt-BR", 4, []string{"Exemplópolis"}, none},
	{"IT", "", 8, "it", 5, []string{"Borgo Esempio"}, none},
	{"ZA", "", 7, "en-ZA", 9, []string{"Samplefontein"}, none},
	{"NZ", "", 3, "en-NZ", 9, []string{"Port Sample"}, none},
	{"IN", "", 4, "en-IN", 9, []string{"Samplepur"}, none},
	{"SG", "", 2, "en-SG", 9, []string{"Singapore"}, none},
	{"JP", "", 2, "ja", 9, []string{"Reimachi"}, none},
}
