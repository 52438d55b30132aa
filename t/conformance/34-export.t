# The consumers that docs/beacons.md shows run as they stand, and lose nothing when they are killed.
use strict;
use warnings;
use Cwd ();
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Process;
use Heartbeat::Scripts;
use Heartbeat::Test;
use Test::More;

my $root = "$FindBin::Bin/../..";
our $redis = redis();
our $script = Heartbeat::Scripts->new(redis => $redis);
my $folder = workplace();
my $manual = Heartbeat::Server::slurp("$root/docs/beacons.md");

# Debian's modules belong to Debian's Python, which need not be the first one.
my ($python) = grep { system("$_ -c 'import redis' 2> /dev/null") == 0 } 'python3', '/usr/bin/python3' or die "no Python with python3-redis\n";
my %languages = (
    python => { command => [$python], file => 'consumer.py', calls => qr/xreadgroup/ },
    js => { command => ['node'], file => 'consumer.js', calls => qr/xReadGroup/, env => { NODE_PATH => Cwd::abs_path("$root/build/apps/express/node_modules") } },
);

# The program, with a shorter time after which an entry is taken over.
sub program {
    my ($language, $dead) = @_;
    my ($text) = grep { $_ =~ $languages{$language}{calls} } $manual =~ /^```$language\n(.*?)^```$/msg or die "no program in $language\n";
    $text =~ s/(DEAD = )60000/$1$dead/ or die "the program in $language says no time\n";
    Heartbeat::Server::write_file("$folder/$languages{$language}{file}", $text);
    return "$folder/$languages{$language}{file}";
}

my $started = 0;
sub consumer {
    my ($language, $dead, $stream, $group, $name) = @_;
    my $of = $languages{$language};
    my $output = "$folder/$group-$name-" . ++$started . '.out';
    my $process = Heartbeat::Process->spawn(name => $name, command => [ @{ $of->{command} }, program($language, $dead), $stream, $group, $name ],
        env => { REDIS_URL => $redis->url, %{ $of->{env} // {} } }, output => $output);
    return { process => $process, output => $output };
}
sub lines {
    my ($consumer) = @_;
    my @lines = -e $consumer->{output} ? grep {/^\S+ \d+ \d+$/} split /\n/, Heartbeat::Server::slurp($consumer->{output}) : ();
    return @lines;
}

sub fill {
    my ($site, $from, $to) = @_;
    my @all = map { batch('v' . $_ % 50, int($_ / 50), payload => "\xff\0" x ($_ % 7)) } $from .. $to;
    my @expected = map {"$_->{view} $_->{number} " . length $_->{payload}} @all;
    $script->merge({ site => $site }, splice @all, 0, 500) while @all;
    return @expected;
}
sub pending { my ($stream, $group) = @_; return $redis->call('XPENDING', $stream, $group)->[0] }

for my $language (sort keys %languages) {
    subtest "killed again and again, $language" => sub {
        my ($site, $group) = ("export-$language", 'warehouse');
        my $stream = "hb:{$site}:beacons";
        my @expected = fill($site, 0, 7_999);
        my @all;
        for my $life (1 .. 3) {
            my $one = consumer($language, 60_000, $stream, $group, 'one');
            ok(eventually(sub { lines($one) >= 500 }, 20), "life $life: it works") or diag Heartbeat::Server::slurp($one->{output});
            $one->{process}->stop('KILL');
            my @done = lines($one);
            push @all, @done;
            cmp_ok(scalar @done, '<', 8_000, 'killed in the middle');
        }
        cmp_ok(pending($stream, $group), '>', 0, 'it had been given what it did not finish');
        my $last = consumer($language, 60_000, $stream, $group, 'one');
        push @expected, fill($site, 8_000, 8_499);
        ok(eventually(sub { my %seen = map { $_ => 1 } @all, lines($last); !grep { !$seen{$_} } @expected }, 60), 'in the end everything was worked off');
        my %count;
        $count{$_}++ for @all, lines($last);
        is_deeply([ grep { !$count{$_} } @expected ], [], 'nothing is lost');
        cmp_ok(scalar(grep { $_ > 1 } values %count), '<=', 3, 'and at each death at most one entry is done twice');
        ok(eventually { pending($stream, $group) == 0 }, 'nothing is pending');
        $last->{process}->stop('KILL');
    };

    subtest "dead for good, $language" => sub {
        my ($site, $group) = ("dead-$language", 'warehouse');
        my $stream = "hb:{$site}:beacons";
        my @expected = fill($site, 0, 3_999);
        my $dead = consumer($language, 300, $stream, $group, 'dead');
        ok(eventually(sub { lines($dead) >= 100 }, 20), 'it works') or diag Heartbeat::Server::slurp($dead->{output});
        $dead->{process}->stop('KILL');
        my @others = map { consumer($language, 300, $stream, $group, $_) } 'two', 'three';
        my $left = sub { my %seen = map { $_ => 1 } map { lines($_) } $dead, @others; return grep { !$seen{$_} } @expected };
        ok(eventually(sub { !$left->() }, 60), 'others take over what it did not finish') or diag scalar $left->();
        ok(eventually { pending($stream, $group) == 0 }, 'nothing is pending');
        cmp_ok(scalar lines($_), '>', 0, 'each did some') for @others;
        push @expected, fill($site, 4_000, 4_499);
        ok(eventually(sub { !$left->() }, 20), 'and they go on');
        $_->{process}->stop('KILL') for @others;
    };

    subtest "Redis restarts, $language" => sub {
        local $redis = redis(persist => 1);
        local $script = Heartbeat::Scripts->new(redis => $redis);
        my ($site, $group) = ("restart-$language", 'warehouse');
        my $stream = "hb:{$site}:beacons";
        my @expected = fill($site, 0, 99);
        my $one = consumer($language, 60_000, $stream, $group, 'one');
        ok(eventually(sub { lines($one) == 100 }, 20), 'it works');
        $redis->stop;
        ok(eventually(sub { !$one->{process}->running }, 20), 'it ends');
        $redis->start;
        $script->{sha} = Heartbeat::Scripts->new(redis => $redis)->{sha};
        my $again = consumer($language, 60_000, $stream, $group, 'one');
        my @more = fill($site, 100, 199);
        ok(eventually(sub { lines($again) >= 100 }, 20), 'started again it goes on');
        is_deeply([ lines($again) ], \@more, 'where it was');
        $again->{process}->stop('KILL');
    };

    subtest "older than the retention, $language" => sub {
        my ($site, $group) = ("old-$language", 'warehouse');
        my $stream = "hb:{$site}:beacons";
        my @expected = fill($site, 0, 9);
        $redis->call('XGROUP', 'CREATE', $stream, $group, '0');
        $redis->call('XREADGROUP', 'GROUP', $group, 'one', 'COUNT', 5, 'STREAMS', $stream, '>');
        my @ids = map { $_->[0] } @{ $redis->call('XRANGE', $stream, '-', '+', 'COUNT', 3) };
        $redis->call('XDEL', $stream, @ids);
        my $one = consumer($language, 60_000, $stream, $group, 'one');
        ok(eventually(sub { lines($one) == 7 }, 20), 'what is still there is worked off') or diag Heartbeat::Server::slurp($one->{output});
        ok(eventually { pending($stream, $group) == 0 }, 'nothing is pending');
        $one->{process}->stop('KILL');
    };
}

done_testing;
