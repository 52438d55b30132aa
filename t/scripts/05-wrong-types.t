# Keys that hold something else: what they spoil stays changed or is told, everything else goes on, and no script fails
# half way.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Scripts;
use Heartbeat::Test;
use List::Util qw(shuffle);
use Test::More;

my $redis = redis();
my $script = Heartbeat::Scripts->new(redis => $redis);
my $now = $script->now;
my $sites = 0;

# A batch of six sessions, of which `a` and `b` are those of user u; then a sweep of all of them.
sub six {
    my ($site, %o) = @_;
    return map { entry($_, $now - 200_000, $now - 150_000, active_from => $now - 190_000, active_to => $now - 180_000, user => /[ab]/ ? 'u' : "u-$_", page => "/$_", %o) } 'a' .. 'f';
}
sub day_of { my @t = gmtime int($_[0] / 1000); return sprintf '%04d-%02d-%02d', $t[5] + 1900, $t[4] + 1, $t[3] }

# Each kind of key, and which of the six sessions are not taken.
my $day = day_of($now - 200_000);
my %keys = (
    seen => [ sub { tag($_[0]{site}, $_[0]{shards}, 'a') . 'seen' }, 'part' ],
    online => [ sub { tag($_[0]{site}, $_[0]{shards}, 'a') . 'online' }, 'part' ],
    undecided => [ sub { tag($_[0]{site}, $_[0]{shards}, 'a') . 'undecided' }, 'part' ],
    session => [ sub { tag($_[0]{site}, $_[0]{shards}, 'a') . 'session:a' }, 'a' ],
    events => [ sub { tag($_[0]{site}, $_[0]{shards}, 'a') . 'events' }, '' ],
    user => [ sub { tag($_[0]{site}, $_[0]{shards}, 'u') . 'user' }, '' ],
    'user:u' => [ sub { tag($_[0]{site}, $_[0]{shards}, 'u') . 'user:u' }, '' ],
    "open:$day" => [ sub { tag($_[0]{site}, $_[0]{shards}, 'u') . "open:$day" }, '' ],
    "active:$day" => [ sub { tag($_[0]{site}, $_[0]{shards}, 'u') . "active:$day" }, '' ],
    sites => [ sub {'hb:sites'}, '' ],
);
my %make = (
    string => sub { [ 'SET', $_[0], 'something else' ] },
    list => sub { [ 'RPUSH', $_[0], 'something else' ] },
    set => sub { [ 'SADD', $_[0], 'something else' ] },
);

for my $shards (1, 7) {
    for my $kind (sort keys %keys) {
        subtest "$kind, $shards parts" => sub {
            for my $type (sort keys %make) {
                $script->call('FLUSHDB');
                my $site = { site => 'wrong-' . ++$sites, shards => $shards };
                my ($name, $spoiled) = @{ $keys{$kind} };
                my $key = $name->($site);
                my $host = $script->other("wrong-$sites");
                $script->call(@{ $make{$type}->($key) });
                my @six = six($site);
                my $part = tag($site->{site}, $shards, 'a');
                my @failed = grep { my $id = $six[$_]{id}; $spoiled eq 'part' ? tag($site->{site}, $shards, $id) eq $part : $spoiled eq $id } 0 .. $#six;
                my ($applied, $failed, $lost, $why) = @{ $host->add($site, @six) };
                is_deeply([ $applied, $failed, $lost ], [ 1, join(',', @failed), 0 ], "$type: what is spoiled is named");
                like($why, qr/^\Q$key\E: WRONGTYPE/, "$type: so is the key");
                is($script->call('HGET', "hb:node:wrong-$sites", 'batch'), 1, "$type: the batch counts as applied");
                is($script->call('HGET', "hb:node:wrong-$sites", 'failed'), join(',', @failed), "$type: with what failed");
                my %bad = map { $six[$_]{id} => 1 } @failed;
                is_deeply([ grep { !$bad{$_} && $host->session($site, $_)->{open_ms} != 50_000 } 'a' .. 'f' ], [], "$type: the others are stored");
                is($script->call('TYPE', $key), $type, "$type: nothing was overwritten");
                my ($taken, $told) = @{ $script->sweep };
                is($taken, $kind eq 'sites' ? 0 : 6 - @failed, "$type: the sweep takes the others");
                $script->call('DEL', $key);
                my @again = @six[@failed];
                is_deeply($host->add($site, @again), [ 1, '', 0, '' ], "$type: once it is gone, they come in") if @again;
                is_deeply([ grep { $host->session($site, $_)->{open_ms} != 50_000 } 'a' .. 'f' ], [], "$type: all are stored");
                my @forever = grep { $_ ne 'hb:sites' && $script->call('PTTL', $_) < 0 } @{ $script->call('KEYS', '*') };
                is_deeply(\@forever, [], "$type: nothing stays for ever");
            }
        };
    }
}

subtest 'the state of the host' => sub {
    $script->call('FLUSHDB');
    $script->call('SET', 'hb:node:n', 'x');
    my $host = $script->other('n');
    ok(!eval { $host->add({ site => 'n' }, entry('a', $now, $now)); 1 }, 'without its number no batch can be applied');
    like($@, qr/WRONGTYPE/, 'an error');
    is_deeply($script->call('KEYS', '*'), ['hb:node:n'], 'and nothing was written');
};

# Hashes that are hashes, but hold what nobody can read: of another version, or of somebody else.
subtest 'fields of another kind' => sub {
    my @garbage = ('', 'x', '-1', '1e400', 'nan', 'inf', '0x10', ' 5', '99999999999999999999', $now, $now - 150_000, '12 34-56',
        '5:', ':5', '1:2 3-4-5L', "0:0 $now-$now-1", 'x:y 5-6-7', '99999999999999999999:99999999999999999999 1-99999999999999999999-3', "\0" x 46, "\0" x 47, "\xff" x 47,
        "\1" . "\0" x 46, "\1" . "\xff" x 46, "\3" . "\0" x 46, "\7" x 47, "\0" x 48, "\0" x 24, "\xff" x 24);
    my @fields = qw(first last last_active open_ms active_ms beats user page state state pending named open_earlier active_earlier);
    srand 1;
    for my $round (1 .. 600) {
        my $site = { site => "fields-$round", shards => $round % 2 ? 1 : 7 };
        my $host = $script->other("fields-$round");
        my @some = map { ($_ => $garbage[ rand @garbage ]) } grep { rand() < 0.4 } @fields;
        @some = () if $round % 50 == 0;
        $script->call('HSET', tag($site->{site}, $site->{shards}, 'a') . 'session:a', @some) if @some;
        my @of_user = map { ($_ => $garbage[ rand @garbage ]) } grep { rand() < 0.4 } qw(state open_earlier active_earlier);
        $script->call('HSET', tag($site->{site}, $site->{shards}, 'u') . 'user:u', @of_user) if @of_user;
        $script->call('HSET', tag($site->{site}, $site->{shards}, 'u') . 'user', 'u', $garbage[ rand @garbage ]) if rand() < 0.5;
        my $answer = eval { $host->add($site, six($site), entry('a', $now - 1000, $now, user => 'v', bits => rand() < 0.2 ? LEFT : 0)) } // [$@];
        $script->call('ZADD', tag($site->{site}, $site->{shards}, 'a') . 'undecided', 0, 'a') if rand() < 0.5;
        my $swept = eval { $script->sweep } // [$@];
        if ($answer->[0] ne '1' || $swept->[0] !~ /^\d+$/) {
            fail("round $round: @$answer, @$swept");
            diag explain { session => \@some, user => \@of_user };
            last;
        }
        fail("round $round: others spoiled") if grep { $host->session($site, $_)->{open_ms} != 50_000 } 'b' .. 'f';
    }
    pass('no script failed');
};

# What the first version wrote, and a state that is not whole: the session is taken as a new one.
subtest 'sessions of before' => sub {
    for my $state (undef, '', 'x' x 46, 'x' x 48) {
        $script->call('FLUSHDB');
        my $site = { site => 'before', shards => 1 };
        my $host = $script->other('before');
        $script->call('HSET', 'hb:{before}:session:a', first => $now - 9000, last => $now - 5000, beats => 4, last_active => $now - 6000, source => 'ping', defined $state ? (state => $state) : ());
        is_deeply($host->add($site, entry('a', $now - 9000, $now, fresh => $now - 4000, active_from => $now - 6000, active_to => $now - 500)), [ 1, '', 0, '' ], 'taken');
        is_deeply($host->session($site, 'a'), { first => $now - 9000, last => $now, open_from => $now - 9000, open_ms => 9000, last_active => $now - 500, active_from => $now - 6000,
            active_ms => 5500, beats => 1, source => 'ping', due => $now + 90_000 }, 'and known');
        is_deeply([ $host->events($site, $now) ], ['online a -4000'], 'online since what is fresh');
    }
};

# What nobody can read of the signs put aside is left out, and does not hold up the sweep of others.
subtest 'signs put aside that nobody can read' => sub {
    for my $garbage ('', 'x', '5', ':', 'x 1-2-3', '1:2 x-y-z', "\0") {
        $script->call('FLUSHDB');
        my $site = { site => 'aside', shards => 1 };
        my $host = $script->other('aside', calm => 0);
        $host->add($site, map { entry($_, $now - 200_000, $now - 200_000) } qw(a b c));
        $script->call('HSET', 'hb:{aside}:session:b', pending => $garbage);
        is_deeply([ eval { $script->sweep } // $@, eval { $script->sweep } // $@ ], [ [ 3, '' ], [ 0, '' ] ], 'swept');
        is(scalar(grep {/^offline [ac] /} $host->events($site, $now)), 2, 'the others went');
        is_deeply([ $host->members($site, 'online'), $host->members($site, 'undecided') ], [ {}, {} ], 'nothing is left');
        is_deeply($host->add($site, entry('b', $now, $now)), [ 1, '', 0, '' ], 'it comes again');
        $script->sweep;
        is_deeply([ grep {/online b/} $host->events($site, $now) ]->[-1], 'online b 0', 'and is there');
    }
};

subtest 'sites that nobody can read' => sub {
    $script->call('FLUSHDB');
    $script->call('HSET', 'hb:sites', 'x', 1, '', 1, '1x', 5, ' 1 y', 5, '0 zero', 1000, '1 good', 'soon', '1 ', 1, '2 sp ace', 1000, '99999999999 many', 1000, '1025 more', 1000, '3 nan', 'nan', '3 inf', '1e400', '3 less', '-5');
    is_deeply($script->sweep, [ 0, '' ], 'are none');
    is($script->call('EXISTS', 'hb:sites'), 0, 'and go away');
    my $host = $script->other('good');
    $host->add({ site => 'good', timeout => 1000 }, entry('a', $now - 10_000, $now - 10_000, user => 'u'));
    $script->call('HSET', 'hb:sites', '1 good', 'soon');
    is_deeply($script->sweep, [ 1, '' ], 'one whose retention is no number is swept all the same');
    is_deeply([ grep {/offline/} $host->events({ site => 'good' }, $now) ], [ 'offline a u -9000', 'user-offline u -9000' ], 'and told');
};

done_testing;
